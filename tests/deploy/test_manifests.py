"""What a cluster would be given: valid by Kubernetes' own schemas, and no more rights than it needs."""

import subprocess
from typing import Any

import kubernetes_validate
import pytest
import yaml
from sample import ROOT

pytestmark = pytest.mark.usefixtures("needs_kubectl")
OVERLAYS = ROOT / "deploy" / "kubernetes" / "overlays"
KUBERNETES = ("1.31", "1.34")
Objects = dict[str, dict[str, Any]]


def built(overlay: str) -> Objects:
    said = subprocess.run(["kubectl", "kustomize", str(OVERLAYS / overlay)], capture_output=True, text=True, check=True)
    objects = list(yaml.safe_load_all(said.stdout))
    kinds = {one["kind"]: one for one in objects}
    assert len(kinds) == len(objects)
    return kinds


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("overlay", sorted(path.name for path in OVERLAYS.iterdir()))
def test_every_object_is_valid(overlay: str, version: str) -> None:
    for kind, one in built(overlay).items():
        if kind != "ServiceMonitor":  # the Prometheus operator's own
            kubernetes_validate.validate(one, version, strict=True)


def test_the_schemas_see_a_mistake() -> None:
    one = built("staging")["Deployment"]
    one["spec"]["template"]["spec"]["containers"][0]["readinesProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(one, KUBERNETES[0], strict=True)


@pytest.mark.parametrize("overlay", ["staging", "production"])
def test_an_environment_has_all_of_it_and_its_parts_find_each_other(overlay: str) -> None:
    objects = built(overlay)
    assert set(objects) == {
        "Deployment", "Service", "HorizontalPodAutoscaler", "PodDisruptionBudget", "NetworkPolicy", "ServiceMonitor",
    }  # fmt: skip
    assert {one["metadata"]["namespace"] for one in objects.values()} == {overlay}
    pod = objects["Deployment"]["spec"]["template"]
    labels = pod["metadata"]["labels"]
    assert objects["Service"]["spec"]["selector"].items() <= labels.items()
    for kind, of in (("PodDisruptionBudget", "selector"), ("NetworkPolicy", "podSelector")):
        assert objects[kind]["spec"][of]["matchLabels"].items() <= labels.items()
    assert (
        objects["ServiceMonitor"]["spec"]["selector"]["matchLabels"].items()
        <= objects["Service"]["metadata"]["labels"].items()
    )
    ports = {port["name"] for port in objects["Service"]["spec"]["ports"]}
    assert objects["ServiceMonitor"]["spec"]["endpoints"][0]["port"] in ports
    assert objects["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]["name"] == "delivery"
    assert "replicas" not in objects["Deployment"]["spec"]  # they would undo the autoscaler's with each deployment


@pytest.mark.parametrize("overlay", ["staging", "production", "canary"])
def test_a_pod_may_do_nothing_but_answer(overlay: str) -> None:
    pod = built(overlay)["Deployment"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
    }  # fmt: skip
    assert {"startupProbe", "readinessProbe", "livenessProbe"} <= set(container)
    told = {entry["name"]: entry["value"] for entry in container["env"]}
    assert int(told["SERVE_DRAIN"]) + 10 < pod["terminationGracePeriodSeconds"]  # the service's own STOP_SECONDS
    assert "SERVE_OPEN" not in told


def test_nothing_leaves_the_pods() -> None:
    policy = built("production")["NetworkPolicy"]["spec"]
    assert set(policy["policyTypes"]) == {"Ingress", "Egress"}
    assert "egress" not in policy


def test_a_canary_is_one_deployment_without_requests() -> None:
    objects = built("canary")
    assert list(objects) == ["Deployment"]
    labels = objects["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert labels == {"app": "delivery", "track": "canary", "traffic": "off"}
    assert objects["Deployment"]["spec"]["selector"]["matchLabels"] == {"app": "delivery", "track": "canary"}
