"""The audit: nothing that ever served is missing from it, and what is not on record is said to be so."""

import json
import shutil
from pathlib import Path

import pytest
from mlflow import MlflowClient

from delivery import audit, files, registry
from delivery.__main__ import main

pytestmark = pytest.mark.xdist_group("registry")
TAGS = {"git.commit": "c0ffee" * 6, "gate": "pass", "image.digest": "ghcr.io/a/b@sha256:feed", "pull.request": "12"}


@pytest.fixture
def client(folder: Path, fresh: Path, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    """Two versions in the registry of an empty project, at a time that goes on by a day with each record."""
    registry.DATABASE.parent.mkdir(parents=True)
    shutil.copy(fresh, registry.DATABASE)
    moments = iter(f"2026-01-0{day}T00:00:00+00:00" for day in range(1, 9))
    monkeypatch.setattr("delivery.records.now", lambda: next(moments))
    monkeypatch.setenv("GITHUB_RUN_ID", "5")
    monkeypatch.setenv("GITHUB_ACTOR", "ada")
    monkeypatch.setenv("GITHUB_REPOSITORY", "a/b")
    client = registry.connect()
    for name, tags in (("one", TAGS | {"approved.by": "bob"}), ("two", TAGS | {"pull.request": ""})):
        files.write(Path(name) / "export" / "model.onnx", name)
        registry.add(client, Path(name), tags | {registry.DIGEST: name}, {})
    return client


def test_every_move_is_listed_in_order_with_its_evidence(client: MlflowClient, capsys) -> None:
    registry.point(client, "staging", "1", "promote")
    registry.point(client, "production", "1", "deploy")
    registry.point(client, "staging", "2", "promote")
    registry.point(client, "staging", "1", "rollback: late\nagain")
    assert main(["audit", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [(move["environment"], move["version"], move["how"]) for move in found] == [
        ("staging", "1", "promote"),
        ("production", "1", "deploy"),
        ("staging", "2", "promote"),
        ("staging", "1", "rollback: late again"),
    ]
    assert [move["time"][:10] for move in found] == [f"2026-01-0{day}" for day in range(1, 5)]
    assert {move["by"] for move in found} == {"ada in workflow run a/b/actions/runs/5"}
    assert {name: found[0][name] for name in TAGS} == TAGS
    assert (found[0]["approved.by"], found[2]["approved.by"]) == ("bob", "")


def test_the_table_says_what_there_was_not(client: MlflowClient, capsys) -> None:
    registry.point(client, "staging", "2", "run")
    registry.point(client, "production", "1", "deploy")
    assert main(["audit", "staging"]) == 0
    *_, row = capsys.readouterr().out.splitlines()
    assert row.endswith(
        "| run | ada in workflow run a/b/actions/runs/5 | `c0ffeec0ffee` | none | nobody | pass | `feed` |"
    )


def test_a_move_from_before_there_were_such_records_is_listed_too(client: MlflowClient, capsys) -> None:
    registry.tag(client, "1", {"staging.since": "2025-01-01T00:00:00+00:00"})
    assert main(["audit"]) == 0
    assert "| staging | 1 | not on record | not on record |" in capsys.readouterr().out


def test_without_a_registry_nothing_was_promoted(folder: Path, capsys) -> None:
    assert audit.moves() == []
    assert main(["audit"]) == 0
    assert capsys.readouterr().out == "Nothing was ever promoted or deployed.\n"
    assert not registry.DATABASE.exists()
