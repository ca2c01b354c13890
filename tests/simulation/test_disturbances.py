"""Disks that are full and an API that limits requests: what such a fault leaves is told, and mended by the next run."""

import pytest

from delivery.adapters import deployments
from simulation.world import Action
from simulation.year import perform

DEPLOY = Action("deploy", value="staging", environment="production")
CHANGE = Action("change", value="1000007")
STEPS = range(4, 40, 12)


@pytest.mark.parametrize("kind", ["full", "api limit", "api down", "limited"])
def test_what_a_fault_leaves_is_mended_by_the_next_run(kind: str) -> None:
    struck = [DEPLOY._replace(fault=(kind, at)) for at in STEPS]
    history = perform([DEPLOY, CHANGE, *struck, Action("rollback", environment="production", fault=(kind, 19))])
    assert history.violation is None, history.violation
    assert any(f"[{kind} at " in line for line in history.lines)


def test_a_deployment_that_is_left_open_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deployments, "_end_unfinished", lambda _: None)
    killed = DEPLOY._replace(fault=("killed", 16))
    violation = perform([DEPLOY, CHANGE, killed, DEPLOY]).violation
    assert violation
    assert violation.rule == "each Deployment ends"
