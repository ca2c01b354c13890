"""What a page says to do about stale results."""

from pathlib import Path

import pytest

from delivery.ci.advice import ASK, stale_advice
from delivery.core import workspace


def test_a_maintainer_can_be_asked_where_the_workflow_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert stale_advice(pushed=False).startswith("Please run `delivery reproduce`, commit")
    assert ASK not in stale_advice(pushed=False)
    workspace.COMMAND_WORKFLOW.parent.mkdir(parents=True)
    workspace.COMMAND_WORKFLOW.touch()
    assert stale_advice(pushed=False, refuted=True).endswith(f"`. {ASK}")
    assert "--remake" in stale_advice(pushed=False, refuted=True)
    assert ASK not in stale_advice(pushed=True)
