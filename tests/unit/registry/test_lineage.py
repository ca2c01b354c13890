"""Lineage: from a version to all that made it."""

import made
import pytest
from mlflow import MlflowClient

from delivery.__main__ import main
from delivery.registry import lineage, transitions

pytestmark = pytest.mark.xdist_group("registry")


def test_lineage_leads_from_a_version_to_all_that_made_it(client: MlflowClient, capsys) -> None:
    made.version(client, "one", **{"data.until": "2013-05", "gate": "pass", "zebra": "last"})
    transitions.move(client, "staging", "1", "promote")
    assert main(["lineage", "staging"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "version 1, staging"
    assert [line.split()[0] for line in said[1:]] == [
        *("model.digest", "git.commit", "data.until", "gate", "staging.since", "zebra", "auc")
    ]
    found = lineage.of("1")
    assert found["metrics"] == {"auc": 0.75}
    assert found["aliases"] == ["staging"]
    assert main(["lineage", "7"]) == 1
    assert capsys.readouterr().err == "error: the registry has no version or alias 7; it has 1 (staging)\n"
