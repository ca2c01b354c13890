"""What never comes to its end would be found."""

from collections.abc import Sequence

import pytest

from delivery.deploy import admission, owed
from delivery.drift import agenda
from delivery.drift.verdicts import LogEntry
from simulation.world import Action
from simulation.year import perform

MONDAYS = [Action("monday", "clock", "1")] * 8


def broken(*actions: Action) -> str:
    violation = perform([*actions]).violation
    return violation.rule if violation else ""


def test_a_period_that_stays_open_behind_a_decided_one_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a check forgets to supersede it."""
    monkeypatch.setattr(agenda, "superseded", lambda waiting, by: waiting)
    assert broken(*MONDAYS) == "a period before a final one is final"


def test_a_period_that_no_check_looks_at_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(history: Sequence[LogEntry], later: Sequence[str]) -> list[str]:
        return []

    monkeypatch.setattr(agenda, "undecided", nothing)
    assert broken(*MONDAYS[:2]) == "no period is overlooked"


def test_the_checks_decide_all_periods() -> None:
    history = perform(MONDAYS)
    assert history.violation is None, history.violation


def test_a_record_that_stays_owed_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a rollback forgets that its record has been written."""
    keep = owed.keep
    monkeypatch.setattr(owed, "keep", lambda target, records: keep(target, records) if records else None)
    deploy = Action("deploy", value="staging", environment="production")
    actions = [deploy, Action("change", value="1000003"), deploy, Action("rollback", environment="production")]
    assert broken(*actions) == "no record is owed for long"


def test_a_release_that_nobody_gets_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where admission refuses what nothing speaks against."""
    monkeypatch.setattr(admission, "objection", lambda *_, **__: "it does not please")
    assert broken(Action("change", value="1000007")) == "what passed every gate is delivered"


def test_a_branch_that_begins_at_a_commit_which_was_not_promoted_delivers_nothing_to_staging() -> None:
    change = Action("change", value="1000007", fault=("cancelled", 60))
    propose = Action("propose", value="77", environment="note")
    history = perform([propose, change, Action("retarget", value="0")])
    assert history.violation is None, history.violation
    promotions = [line for line in history.lines if "promote by" in line]
    assert [line.partition("apply=")[2].partition(" ")[0] for line in promotions[:3]] == [
        "success",
        "cancelled",
        "success",
    ]
