"""Clocks of machines that are hours wrong: the order of moves is that in which they were made."""

import datetime

import pytest

from delivery.registry import transitions
from simulation.world import Action
from simulation.year import perform

DEPLOY = Action("deploy", value="staging", environment="production")
ROLLBACK = Action("rollback", "bob", environment="production")
CHANGE = Action("change", value="1000007")


def wrong(action: Action, how: str) -> Action:
    return action._replace(fault=(how, 1))


def broken(*actions: Action) -> str:
    violation = perform([*actions]).violation
    return violation.rule if violation else ""


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Within minutes, so that a clock that is hours ahead comes before one that is right."""
    monkeypatch.setattr("simulation.world.LATER", datetime.timedelta(minutes=10))


def test_moves_have_their_order_whatever_the_clocks_say() -> None:
    first = [wrong(DEPLOY, "ahead"), CHANGE, wrong(DEPLOY, "behind"), DEPLOY]
    history = perform(
        [*first, wrong(ROLLBACK, "ahead"), CHANGE._replace(value="1000008"), wrong(DEPLOY, "behind"), ROLLBACK]
    )
    assert history.violation is None, history.violation
    assert "[ahead at " in "\n".join(history.lines)


def test_an_order_by_clocks_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The alias goes back to the version that a clock was ahead for, so no later deployment is recorded."""
    monkeypatch.setattr(transitions, "_after", lambda *_: "")
    assert broken(wrong(DEPLOY, "ahead"), CHANGE, DEPLOY) == "a good change is delivered"


def test_a_retirement_by_a_clock_that_is_ahead_comes_before_the_next_deployment() -> None:
    retire = Action("retire", value="ahead")
    assert broken(DEPLOY, retire, CHANGE, DEPLOY) == ""
