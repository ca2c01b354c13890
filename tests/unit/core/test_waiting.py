"""Waiting for a condition: no wait if it holds, never past the time, and with a last check."""

import itertools

import pytest

from delivery.core import waiting


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the seconds slept, which alone advance the clock."""
    slept: list[float] = []
    monkeypatch.setattr(waiting.time, "monotonic", lambda: sum(slept))
    monkeypatch.setattr(waiting.time, "sleep", slept.append)
    return slept


def test_a_condition_that_holds_already_takes_no_time(clock: list[float]) -> None:
    assert waiting.until(lambda: True, seconds=0)
    assert clock == []


def test_it_ends_with_the_first_check_that_succeeds(clock: list[float]) -> None:
    looks = itertools.count(1)
    assert waiting.until(lambda: next(looks) == 4, seconds=60, tick=0.5)
    assert clock == [0.5, 0.5, 0.5]


def test_it_gives_up_once_the_time_has_passed(clock: list[float]) -> None:
    assert not waiting.until(lambda: False, seconds=1, tick=0.4)
    assert sum(clock) == pytest.approx(1.2)


def test_the_condition_is_checked_once_more_after_the_time(clock: list[float]) -> None:
    answers = iter([False, False, True])
    assert waiting.until(lambda: next(answers), seconds=0.5, tick=0.6)
    assert clock == [0.6]
