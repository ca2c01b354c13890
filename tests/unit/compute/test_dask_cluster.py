"""The Dask cluster of docs/dask.yaml, checked without one: its pods and service are valid for Kubernetes."""

import copy
from typing import Any

import kubernetes_validate
import made
import pytest
import yaml

from delivery.core import params

KUBERNETES = ("1.31", "1.34")
CLUSTER = yaml.safe_load((made.ROOT / "docs" / "dask.yaml").read_text())
PARTS = ("scheduler", "worker")


def pod(part: str) -> dict[str, Any]:
    spec = copy.deepcopy(CLUSTER["spec"][part]["spec"])
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": part}, "spec": spec}


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("part", PARTS)
def test_its_pods_and_its_service_are_valid(part: str, version: str) -> None:
    kubernetes_validate.validate(pod(part), version, strict=True)
    service = CLUSTER["spec"]["scheduler"]["service"]
    one = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "scheduler"}, "spec": service}
    kubernetes_validate.validate(one, version, strict=True)


def test_the_schemas_see_a_mistake() -> None:
    wrong = pod("worker")
    wrong["spec"]["containers"][0]["volumeMount"] = []
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, KUBERNETES[0], strict=True)


def test_all_share_the_folder_and_a_worker_has_one_thread() -> None:
    volumes, places = zip(
        *((pod(part)["spec"]["volumes"], pod(part)["spec"]["containers"][0]["volumeMounts"]) for part in PARTS),
        strict=True,
    )
    assert volumes[0] == volumes[1]
    assert places[0] == places[1]
    words = pod("worker")["spec"]["containers"][0]["args"]
    assert words[words.index("--nthreads") + 1] == "1"


def test_its_address_is_an_engine() -> None:
    """The operator names the service after the cluster."""
    (port,) = (each["port"] for each in CLUSTER["spec"]["scheduler"]["service"]["ports"] if each["name"] == "tcp-comm")
    address = f"tcp://{CLUSTER['metadata']['name']}-scheduler:{port}"
    settings = yaml.safe_load((made.ROOT / "params.yaml").read_text()) | {"engine": address}
    assert params.parse(yaml.safe_dump(settings)).engine == address
    assert f"`engine: {address}`" in (made.ROOT / "docs" / "dask.yaml").read_text()
