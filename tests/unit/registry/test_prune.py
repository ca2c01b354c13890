"""Pruned versions are named and can be made again; versions that serve or may serve again keep their files."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from delivery.__main__ import main
from delivery.core import files, workspace
from delivery.core.errors import Failure
from delivery.registry import prune, registry, stored, transitions
from delivery.registry.version import Lineage

pytestmark = pytest.mark.xdist_group("registry")


@pytest.fixture
def six_versions(repository: Path, empty_registry: None) -> None:
    """Six versions: 1 served in production long ago, 2 before 3, which serves; the rest never did."""
    for number in range(1, 7):
        files.write(Path(f"m{number}") / "export" / "model.onnx", str(number))
        files.write(Path(f"m{number}") / "card.md", "# Card")
        files.write(Path(f"m{number}") / "model.skops", str(number))
        lineage = Lineage(digest=files.digest(Path(f"m{number}") / "export"), commit="abc")
        registry.add(Path(f"m{number}"), lineage, {"auc": 0.75})
    for served in ("1", "2", "3"):
        transitions.move("production", served, "deploy")


def whole() -> list[str]:
    """The versions that have their model's files."""
    return sorted(path.read_text() for path in workspace.REGISTRY_ARTIFACTS.rglob("model.onnx"))


def test_serving_versions_rollback_targets_and_the_newest_keep_their_files(six_versions: None) -> None:
    assert prune.run(2) == ["4", "1"]
    assert whole() == ["2", "3", "5", "6"]
    with pytest.raises(
        Failure, match=r"version 1 were pruned on .*; `git checkout abc` and `dvc repro` make its model"
    ):
        registry.download(registry.find("1"), Path("here"))
    assert prune.run(2) == [], "twice is once"


def test_the_record_stays(six_versions: None, capsys) -> None:
    assert main(["prune", "--keep", "2"]) == 0
    assert "prune: version 4, version 1 lost its files" in capsys.readouterr().out
    assert main(["lineage", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["metrics"] == {"auc": 0.75}
    assert main(["audit", "--json"]) == 0
    assert [move["version"] for move in json.loads(capsys.readouterr().out)] == ["1", "2", "3"]
    assert len(list(workspace.REGISTRY_ARTIFACTS.rglob("card.md"))) == 6
    assert len(list(workspace.REGISTRY_ARTIFACTS.rglob("model.skops"))) == len(whole()) == 4


def test_a_dry_run_touches_nothing(six_versions: None, capsys) -> None:
    assert main(["prune", "--keep", "2", "--dry-run"]) == 0
    assert "version 4, version 1 would lose its files" in capsys.readouterr().out
    assert len(whole()) == 6


def test_a_server_is_not_pruned(six_versions: None, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert main(["prune"]) == 1
    assert "`mlflow gc`" in capsys.readouterr().err
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert main(["prune", "--keep", "0"]) == 1


@pytest.mark.parametrize("source", ["mlflow-artifacts:/../../../precious", "mlflow-artifacts:/1/../..", "/", "1/link"])
def test_a_place_outside_of_the_store_is_not_touched(source: str, six_versions: None) -> None:
    for folder in (Path("precious"), workspace.REGISTRY_ARTIFACTS):
        files.write(folder / "file", "kept")
    (workspace.REGISTRY_ARTIFACTS / "1").mkdir(exist_ok=True)
    (workspace.REGISTRY_ARTIFACTS / "1" / "link").symlink_to(Path("precious").resolve())
    with pytest.raises(Failure, match="outside of .*; restore the store"):
        stored.folder(source)
    assert Path("precious/file").read_text() == "kept"
    with closing(sqlite3.connect(workspace.REGISTRY_DATABASE)) as database, database:
        database.execute("update model_versions set source = ? where version = 1", (source,))
    assert main(["prune", "--keep", "1"]) == 1
    assert Path("precious/file").read_text() == "kept"
