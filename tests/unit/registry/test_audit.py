"""The audit lists everything that ever served, and says what is not on record."""

import json
from pathlib import Path

import pytest
from msgspec.structs import replace

from delivery.__main__ import main
from delivery.core import files, workspace
from delivery.deploy import environments
from delivery.registry import audit, registry, transitions
from delivery.registry.version import Lineage, events, served

pytestmark = pytest.mark.xdist_group("registry")
TAGS = {"git.commit": "c0ffee" * 6, "gate": "pass", "image.digest": "ghcr.io/a/b@sha256:feed", "pull.request": "12"}
LINEAGE = Lineage(commit="c0ffee" * 6, gate="pass", image="ghcr.io/a/b@sha256:feed", pull="12")


@pytest.fixture
def two_versions(empty_registry: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two versions in the registry of an empty project."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_RUN_ID", "5")
    monkeypatch.setenv("GITHUB_ACTOR", "ada")
    monkeypatch.setenv("GITHUB_REPOSITORY", "a/b")
    for name, lineage in (("one", replace(LINEAGE, approved_by="bob")), ("two", replace(LINEAGE, pull=""))):
        files.write(Path(name) / "export" / "model.onnx", name)
        registry.add(Path(name), replace(lineage, digest=files.digest(Path(name, "export"))), {})


def test_every_move_is_listed_in_order_with_its_evidence(two_versions: None, capsys) -> None:
    transitions.move("staging", "1", "promote")
    transitions.move("production", "1", "deploy")
    transitions.move("staging", "2", "promote")
    registry.record_image("1", "ghcr.io/a/b@sha256:beef")
    environments.failed("production", "2", "deploy", "never ready")
    transitions.move("staging", "1", "rollback", "late\nagain")
    assert main(["audit", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [(move["environment"], move["version"], move["how"], move["reason"]) for move in found] == [
        ("staging", "1", "promote", ""),
        ("production", "1", "deploy", ""),
        ("staging", "2", "promote", ""),
        ("staging", "1", "rollback", "late\nagain"),
    ]
    assert [move["time"] for move in found] == sorted(move["time"] for move in found)
    assert {(move["by"], move["run"]) for move in found} == {("ada", "https://github.com/a/b/actions/runs/5")}
    assert {name: found[0][name] for name in TAGS} == TAGS
    assert (found[0]["approved.by"], found[2]["approved.by"]) == ("bob", "")
    assert found[3]["image.digest"].endswith("beef")


def test_the_table_names_missing_evidence(two_versions: None, capsys) -> None:
    transitions.move("staging", "2", "run")
    transitions.move("production", "1", "deploy", "a | <b>")
    assert main(["audit", "staging"]) == 0
    *_, row = capsys.readouterr().out.splitlines()
    assert row.endswith("| run | - | ada | `c0ffeec0ffee` | none | nobody | pass | `feed` | no |")
    assert main(["audit", "production"]) == 0
    assert "| deploy | a / ‹b> | ada |" in capsys.readouterr().out


def test_the_audit_agrees_with_the_history_whatever_the_clock(
    two_versions: None, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first move was written by a machine whose clock is ahead."""
    with monkeypatch.context() as later:
        later.setattr("delivery.adapters.provenance.now", lambda: "2999-01-01T00:00:00+00:00")
        transitions.move("staging", "1", "promote")
    transitions.move("staging", "2", "promote")
    assert [move.version for move in audit.moves()] == ["1", "2"]
    assert [event.version for event in events(registry.versions())] == ["1", "2"]
    assert [number for _, number in served(registry.versions(), "staging")] == ["1", "2"]


def test_without_a_registry_nothing_was_promoted(folder: Path, capsys) -> None:
    assert audit.moves() == []
    assert main(["audit"]) == 0
    assert capsys.readouterr().out == "Nothing was ever promoted or deployed.\n"
    assert not workspace.REGISTRY_DATABASE.exists()
