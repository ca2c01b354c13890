"""The four figures of delivery, from made-up months of events."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from delivery.registry import history
from delivery.registry.version import Event

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def event(days: float, version: str, how: str = "deploy", **more: Any) -> Event:
    time = NOW - timedelta(days=days)
    made = (time - timedelta(hours=5)).isoformat()
    return Event(time.isoformat(), "production", version, how, "ada", committed=made, **more)


def test_the_four_figures() -> None:
    events = [
        event(200, "1"),  # too long ago
        event(28, "2"),
        event(21, "3", before="2"),
        event(20.5, "2", "rollback", before="3"),
        event(14, "4", "canary", before="2"),
        event(10, "5", outcome="failed"),
        event(7, "6", "promote", before="4"),
        Event((NOW - timedelta(days=1)).isoformat(), "staging", "7", "promote"),
    ]
    of = history.figures(events, "production", NOW)
    assert (of.changes, of.refused) == (4, 1)
    assert of.lead_hours == pytest.approx(5)
    assert of.per_week == pytest.approx(1)
    assert of.failed_share == pytest.approx(0.25)
    assert of.restore_hours == pytest.approx(12)


def test_going_forward_again_after_a_rollback_is_no_failed_change() -> None:
    events = [event(5, "1"), event(4, "2", before="1"), event(3, "1", "rollback", before="2"),
              event(2, "2", "rollback", before="1")]  # fmt: skip
    assert history.figures(events, "production", NOW).failed_share == 0.5


def test_a_retirement_is_no_change() -> None:
    events = [event(5, "1"), event(4, "2", before="1"), event(3, "2", "retire", before="2")]
    of = history.figures(events, "production", NOW)
    assert (of.changes, of.refused, of.failed_share) == (2, 0, 0)


def test_without_events_nothing_is_claimed() -> None:
    of = history.figures([], "production", NOW)
    assert (of.lead_hours, of.failed_share, of.restore_hours) == (None, None, None)
    assert history.figures_table({"production": of}).count("| - |") == 2


def test_a_typed_reason_adds_no_markup() -> None:
    page = history.table([event(1, "2", reason="a | b\n<img> `x` @ada")])
    assert "a / b ‹img> 'x' @\u200bada" in page
    assert len(page.splitlines()) == 3


@pytest.mark.parametrize(("hours", "said"), [(None, "-"), (0.05, "3 min"), (5, "5.0 h"), (72, "3.0 days")])
def test_hours_are_shown_in_a_readable_unit(hours: float | None, said: str) -> None:
    assert history.span(hours) == said
