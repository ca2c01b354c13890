"""Lineage: from a version to everything that made it."""

from pathlib import Path

import made
import pytest

from delivery.__main__ import main
from delivery.core import workspace
from delivery.registry import lineage, transitions

pytestmark = pytest.mark.xdist_group("registry")


def test_without_a_registry_none_is_made(folder: Path, capsys) -> None:
    assert main(["lineage", "production"]) == 1
    assert "there is no registry: .store/mlflow/mlflow.db is missing" in capsys.readouterr().err
    assert not workspace.STORE.exists()


def test_lineage_lists_everything_that_made_a_version(empty_registry: None, capsys) -> None:
    made.version("one", **{"data.until": "2013-05", "gate": "pass", "zebra": "last"})
    transitions.move("staging", "1", "promote")
    assert main(["lineage", "staging"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "version 1, staging"
    assert [line.split()[0] for line in said[1:]] == [
        *("model.digest", "git.commit", "data.until", "gate", "staging.since", "zebra", "auc")
    ]
    found = lineage.trace("1")
    assert found.metrics == {"auc": 0.75}
    assert found.aliases == ("staging",)
    assert main(["lineage", "7"]) == 1
    assert capsys.readouterr().err == "error: the registry has no version or alias 7; it has 1 (staging)\n"
