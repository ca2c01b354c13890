"""What is pruned can be told and made again; what serves, or may serve again, is never touched."""

import json
from pathlib import Path

import pytest
from mlflow import MlflowClient

from delivery.__main__ import main
from delivery.core import files, workspace
from delivery.core.errors import Failure
from delivery.registry import prune, registry, transitions

pytestmark = pytest.mark.xdist_group("registry")


@pytest.fixture
def client(repository: Path, empty_registry: None) -> MlflowClient:
    """Six versions: 1 served in production long ago, 2 before 3, which serves; the rest never did."""
    client = registry.connect()
    for number in range(1, 7):
        files.write(Path(f"m{number}") / "export" / "model.onnx", str(number))
        files.write(Path(f"m{number}") / "card.md", "# Card")
        files.write(Path(f"m{number}") / "model.skops", str(number))
        tags = {registry.DIGEST: files.digest(Path(f"m{number}") / "export"), "git.commit": "abc"}
        registry.add(client, Path(f"m{number}"), tags, {"auc": 0.75})
    for served in ("1", "2", "3"):
        transitions.move(client, "production", served, "deploy")
    return client


def whole() -> list[str]:
    """The versions that have their model's files."""
    return sorted(path.read_text() for path in workspace.REGISTRY_ARTIFACTS.rglob("model.onnx"))


def test_what_serves_what_may_come_back_and_the_newest_stay(client: MlflowClient) -> None:
    assert prune.run(2) == ["4", "1"]
    assert whole() == ["2", "3", "5", "6"]
    with pytest.raises(
        Failure, match=r"version 1 were pruned on .*; `git checkout abc` and `dvc repro` make its model"
    ):
        registry.download(client, registry.find(client, "1"), Path("here"))
    assert prune.run(2) == [], "twice is once"


def test_the_record_stays(client: MlflowClient, capsys) -> None:
    assert main(["prune", "--keep", "2"]) == 0
    assert "prune: version 4, version 1 lost its files" in capsys.readouterr().out
    assert main(["lineage", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["metrics"] == {"auc": 0.75}
    assert main(["audit", "--json"]) == 0
    assert [move["version"] for move in json.loads(capsys.readouterr().out)] == ["1", "2", "3"]
    assert len(list(workspace.REGISTRY_ARTIFACTS.rglob("card.md"))) == 6
    assert len(list(workspace.REGISTRY_ARTIFACTS.rglob("model.skops"))) == len(whole()) == 4


def test_a_dry_run_touches_nothing(client: MlflowClient, capsys) -> None:
    assert main(["prune", "--keep", "2", "--dry-run"]) == 0
    assert "version 4, version 1 would lose its files" in capsys.readouterr().out
    assert len(whole()) == 6


def test_a_server_keeps_its_own_house(client: MlflowClient, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert main(["prune"]) == 1
    assert "`mlflow gc`" in capsys.readouterr().err
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert main(["prune", "--keep", "0"]) == 1
