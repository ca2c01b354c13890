"""The target kubernetes against a stand-in of kubectl: what it asks of the cluster, in which order, and what it leaves."""

import json
import os
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from host import EQUAL, NAME, Site, after, asked
from mlflow import MlflowClient
from sample import ROOT, change

from delivery.core import workspace
from delivery.deploy import owed
from delivery.deploy.targets import kubernetes, loopback, slots
from delivery.deploy.targets.state import Slot
from delivery.registry import registry
from delivery.registry.version import rolled_back, tag_key

pytestmark = pytest.mark.xdist_group("registry")
IMAGE = "ghcr.io/acme/demo@sha256:" + "0" * 63 + "{}"


@pytest.fixture(scope="module")
def services(registered: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A running service for each version; a file with its port."""
    folder = tmp_path_factory.mktemp("services")
    before = Path.cwd()
    os.chdir(registered)
    try:
        for number in ("1", "2", "3"):
            slot = Slot(number, loopback.free_port(), number, "")
            slots.start(folder, slot, registered / "models" / number, 30)
            (folder / f"{number}.port").write_text(str(slot.port))
        yield folder
    finally:
        os.chdir(before)
        for number in ("1", "2", "3"):
            slots.stop(folder, number, engine=False)


class Cluster(Site):
    def __init__(self, folder: Path, home: Path):
        super().__init__(folder, home)
        self.cluster = home
        change(folder, {"deploy.environments": {NAME: {"target": "kubernetes"}}})

    def calls(self) -> list[str]:
        return (self.cluster / "calls").read_text().splitlines()

    def deployments(self) -> dict[str, Any]:
        state = json.loads((self.cluster / "state.json").read_text())
        return {name: one["history"][-1] for name, one in state.items() if "history" in one}

    def fails(self, call: str, why: str) -> None:
        (self.cluster / "fail").write_text(f"{call}: {why}")

    def stands(self, version: str) -> None:
        """The version serves, the alias is on it, and there is no canary."""
        (one,) = self.deployments().values()
        assert one["metadata"]["annotations"]["delivery/version"] == version
        assert one["spec"]["template"]["spec"]["containers"][0]["image"] == IMAGE.format(version)
        assert one["metadata"]["namespace"] == NAME
        assert self.alias() == version


@pytest.fixture(scope="module")
def shared(registered: Path, services: Path, tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    """A project, and beside it a cluster with nothing in it."""
    home = tmp_path_factory.mktemp("cluster")
    shutil.copytree(registered, home / "project")
    shutil.copytree(ROOT / "deploy", home / "project" / "deploy")
    for number in ("1", "2", "3"):
        shutil.copy(services / f"{number}.port", home / number)
    for track, number in (("stable", "1"), ("canary", "2")):
        shutil.copy(services / f"{number}.port", home / f"{track}.port")
    stand_in = home / "bin" / "kubectl"
    stand_in.parent.mkdir()
    stand_in.write_text(f'#!/bin/sh\nexec {sys.executable} {Path(__file__).with_name("kubectl.py")} "$@"\n')
    stand_in.chmod(0o755)
    return Cluster(home / "project", home)


@pytest.fixture
def there(needs_kubectl: None, shared: Cluster, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """Version 1 serves in the cluster; one for all tests, since each must leave it so."""
    real = shutil.which("kubectl")
    assert real
    monkeypatch.setenv("PATH", f"{shared.cluster / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("KUBECTL", real)
    monkeypatch.setenv("CLUSTER", str(shared.cluster))
    monkeypatch.chdir(shared.folder)
    for number in ("1", "2", "3"):
        registry.record_image(number, IMAGE.format(number))
    assert shared.deploy("1") == 0
    (shared.cluster / "calls").unlink()
    shared.stands("1")
    return shared


def test_a_canary_a_promotion_and_the_way_back(there: Cluster, capsys) -> None:
    there.canary(**EQUAL)
    stop = threading.Event()
    ports = [int((there.cluster / number).read_text()) for number in ("1", "2")]
    clients = [threading.Thread(target=asked, args=(port, there.rows, stop)) for port in ports]
    for client in clients:
        client.start()
    try:
        assert there.deploy("2", "--canary", "20%") == 0
    finally:
        stop.set()
        for client in clients:
            client.join()
    there.stands("2")
    made = [call for call in there.calls() if call.startswith(("apply", "scale", "label", "delete", "rollout"))]
    begun = len(made) - made[::-1].index("scale deployment/delivery-canary --replicas=1") - 1
    assert made[begun - 2 :][:2] == ["apply --filename -", "rollout status deployment/delivery-canary --timeout=60s"]
    assert made[-3:] == [
        "apply --filename -",
        "rollout status deployment/delivery --timeout=60s",
        "delete deployment delivery-canary --ignore-not-found",
    ]
    assert "canary at 50 %: " in capsys.readouterr().out
    assert there.deploy("2") == 0
    assert "serves `staging` already in namespace `staging`; nothing has changed" in capsys.readouterr().out
    assert there.rollback("--reason", "worse") == 0
    there.stands("1")
    assert "worse" in rolled_back(registry.find("2"), "staging")
    assert there.run("status") == 0


REFUSED = {
    "never ready": ("2", "rollout status deployment/delivery-canary", "timed out waiting for the condition"),
    "not to be applied": ("2", "apply", "admission webhook denied the request"),
    "ready alone, not in its place": ("2", "rollout status deployment/delivery ", "exceeded its progress deadline"),
    "wrong predictions": ("3", "", "breaks its contract"),
}


@pytest.mark.parametrize("fault", REFUSED)
def test_what_goes_wrong_leaves_the_old_one(fault: str, there: Cluster, capsys) -> None:
    version, call, why = REFUSED[fault]
    if call:
        there.fails(call, why)
    assert there.deploy(version) == 1
    said = capsys.readouterr().err
    assert why in said
    assert "; version 1 still serves staging" in said
    there.stands("1")
    assert ("rollout undo deployment/delivery" in there.calls()) == (fault == "ready alone, not in its place")


def test_what_a_killed_command_has_left_is_put_right(there: Cluster) -> None:
    """Its new version is in its place already, the alias is not on it."""
    state = json.loads((there.cluster / "state.json").read_text())
    new = json.loads(json.dumps(state["delivery"]["history"][-1]))
    new["metadata"]["annotations"]["delivery/version"] = "2"
    state["delivery"]["history"].append(new)
    state["delivery-canary"] = {"history": [new]}
    (there.cluster / "state.json").write_text(json.dumps(state))
    assert there.run("status") == 1
    assert there.deploy("1") == 0
    there.stands("1")


def test_a_rollback_of_a_cluster_that_serves_the_version_already_is_recorded(there: Cluster, capsys) -> None:
    """A command was killed after the pods were replaced, or somebody used kubectl: the alias is still on version 2."""
    assert there.deploy("2") == 0
    state = json.loads((there.cluster / "state.json").read_text())
    state["delivery"]["history"].pop()
    (there.cluster / "state.json").write_text(json.dumps(state))
    (there.cluster / "calls").unlink()
    assert there.rollback("--reason", "worse", "--to", "1") == 0
    there.stands("1")
    assert json.loads((there.cluster / "state.json").read_text())["delivery"] == state["delivery"]
    assert "worse" in rolled_back(registry.find("2"), "staging")
    assert "`staging` is back to version 1; version 2 is marked as rolled back." in capsys.readouterr().out


def test_a_rollback_is_final_without_the_registry(there: Cluster, capsys) -> None:
    """Its record is kept in the cluster until the registry is there again."""
    assert there.deploy("2") == 0
    aside = workspace.STORE.rename(workspace.STORE.with_name(".aside"))
    assert there.rollback("--to", "1", "--reason", "worse") == 1
    assert "there is no registry" in capsys.readouterr().err
    (one,) = there.deployments().values()
    assert one["metadata"]["annotations"]["delivery/version"] == "2"
    aside.rename(workspace.STORE)
    take_over = kubernetes.Cluster.take_over

    def gone(*words: Any) -> None:
        take_over(*words)
        workspace.STORE.rename(aside)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kubernetes.Cluster, "take_over", gone)
        assert there.rollback("--to", "1", "--reason", "worse") == 1
    aside.rename(workspace.STORE)
    assert "version 1 serves staging again, but the registry has no record of it yet" in capsys.readouterr().err
    assert there.alias() == "2"
    assert there.rollback() == 0
    assert "That was done before; it is recorded now." in capsys.readouterr().out
    there.stands("1")
    assert "worse" in rolled_back(registry.find("2"), "staging")
    assert "delete configmap delivery-owed --ignore-not-found" in there.calls()


@pytest.mark.parametrize(
    "step", [after(kubernetes.Cluster, "start"), after(kubernetes.Cluster, "take_over"), after(owed, "keep")]
)
def test_a_rollback_that_is_killed_and_run_again(step: Callable[[], None], there: Cluster) -> None:
    assert there.deploy("2") == 0
    assert there.killed(step, "rollback", "staging", "--to", "1", "--reason", "worse")
    assert there.rollback("--to", "1", "--reason", "worse") == 0
    there.stands("1")
    assert "worse" in rolled_back(registry.find("2"), "staging")


def test_a_rollback_that_fails_is_in_the_history(there: Cluster, capsys) -> None:
    assert there.deploy("2") == 0
    there.fails("rollout status deployment/delivery-canary", "timed out waiting for the condition")
    assert there.rollback("--to", "1") == 1
    there.stands("2")
    capsys.readouterr()
    assert there.run("history", "--json") == 0
    event = json.loads(capsys.readouterr().out)["events"][-1]
    assert (event["version"], event["how"], event["outcome"]) == ("1", "rollback", "failed")
    assert there.deploy("1") == 0


def test_a_version_without_an_image_is_refused(there: Cluster, capsys) -> None:
    address = registry.sqlite(workspace.REGISTRY_DATABASE)
    MlflowClient(address, address).delete_model_version_tag(registry.MODEL, "2", tag_key("image"))
    assert there.deploy("2") == 1
    assert "version 2 has no image by digest" in capsys.readouterr().err
    there.stands("1")
