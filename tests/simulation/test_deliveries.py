"""Canaries that pass, fail, are held, steered and cancelled; drills; and what breaks a rule about them is found."""

import pytest

from delivery.core.errors import Failure
from delivery.deploy import canary, drill, rollout
from delivery.deploy.targets.host import Host
from simulation.world import Action
from simulation.year import perform

DEPLOY = Action("deploy", value="staging", environment="production")
CANARY = Action("canary", value="10%")
ASIDE = CANARY._replace(fault=("overtaken", 32))  # while it runs
QUIET, DRILL, ROLLBACK = Action("quiet"), Action("drill"), Action("rollback", environment="production")
FIRST = [DEPLOY, Action("change", value="1000007")]


def broken(*actions: Action) -> str:
    violation = perform([*actions]).violation
    return violation.rule if violation else ""


def ends(*actions: Action) -> list[str]:
    """How the deployments ended."""
    history = perform([*actions])
    assert history.violation is None, history.violation
    return [line.partition("deploy=")[2].partition(" ")[0] for line in history.lines if "deploy by" in line]


def test_a_canary_passes_with_enough_requests_and_is_held_to_its_end_without() -> None:
    assert ends(*FIRST, QUIET, CANARY, QUIET, CANARY) == ["success", "failure", "success", "success"]  # one at the end


def test_a_person_steers_a_canary_and_cancels_it() -> None:
    held = [QUIET, ASIDE, Action("steer", value="end"), ASIDE, Action("cancel", value="0"), QUIET]
    steered = [ASIDE, Action("steer", value="50%")]
    assert ends(*FIRST, *held, *steered) == ["success", "failure", "cancelled", "success", "success"]


def test_a_failing_version_that_a_canary_lets_by_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    fails = [DEPLOY, Action("change", value="1000013")]
    assert ends(*fails, CANARY) == ["success", "failure", "success"]
    monkeypatch.setattr(canary, "errors", lambda *_, **__: "")
    assert broken(*fails, CANARY) == "no canary lets a failing version by"


def test_a_share_of_traffic_that_a_cancelled_canary_leaves_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Host, "undo", lambda *_, **__: None)
    assert broken(*FIRST, ASIDE, Action("cancel", value="0")) == "a canary ends with its run"


def test_a_drill_without_a_record_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    assert broken(*FIRST, DEPLOY, DRILL, ROLLBACK) == ""
    monkeypatch.setattr(drill, "record", lambda *_: None)
    assert broken(*FIRST, DEPLOY, DRILL) == "a drill is on record"


def test_a_proven_rollback_that_fails_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise Failure("it does not start")

    monkeypatch.setattr(rollout, "roll_back", refuse)
    assert broken(*FIRST, DEPLOY, DRILL, ROLLBACK) == "a rollback that a drill has proven succeeds"


@pytest.mark.parametrize("step", [34, 38, 42])
def test_a_killed_rollback_is_finished_by_the_next_one_whatever_a_drill_says(step: int) -> None:
    """One that was killed after its alias had moved is taken for repeated, so that the next one goes no further back."""
    newer = [DEPLOY, Action("change", value="1000008"), DEPLOY]
    history = perform([*FIRST, *newer, ROLLBACK._replace(fault=("killed", step)), DRILL, ROLLBACK])
    assert history.violation is None, history.violation
