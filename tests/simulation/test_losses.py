"""A branch `store` that was deleted is restored with all its records, and nothing has taken its place."""

import pytest

from delivery.adapters import lost_store
from simulation.world import Action
from simulation.year import perform

DROP, RESTORE = Action("drop"), Action("restore")
CHANGE = Action("change", value="1000007")
MONDAY = Action("monday", "clock", "1")
ROLLBACK = Action("rollback", environment="production")


def test_no_run_replaces_a_store_that_was_deleted() -> None:
    deploy = Action("deploy", value="staging", environment="production")
    others = [Action("batch"), ROLLBACK, Action("propose", value="77", environment="stale"), Action("drill")]
    history = perform([deploy, MONDAY, DROP, CHANGE, MONDAY, *others, RESTORE, CHANGE._replace(value="1000008")])
    assert history.violation is None, history.violation
    promotions = [line for line in history.lines if "promote by" in line]
    assert ["measure=failure" in line for line in promotions] == [False, True, False, False]


def test_a_new_store_in_its_place_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lost_store, "refuse", lambda _: None)
    violation = perform([MONDAY, DROP, CHANGE]).violation
    assert violation
    assert violation.rule == "no new store hides a lost one"


def test_two_rollbacks_may_wait_for_a_reviewer() -> None:
    history = perform([Action("plan", "owner", "enterprise", "production"), ROLLBACK, ROLLBACK._replace(who="eve")])
    assert history.violation is None, history.violation


def test_artifacts_that_have_expired_are_named() -> None:
    propose = Action("propose", value="77", environment="stale", fault=("killed", 60))
    history = perform([propose, Action("expire"), *(Action("again", value=str(number)) for number in range(4))])
    assert history.violation is None, history.violation
