"""Waiting for a condition: at once where it holds, never past the time, and with a last look."""

import itertools

import pytest

from delivery.core import waiting


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds slept; the clock moves by them alone."""
    slept: list[float] = []
    monkeypatch.setattr(waiting.time, "monotonic", lambda: sum(slept))
    monkeypatch.setattr(waiting.time, "sleep", slept.append)
    return slept


def test_what_holds_already_is_not_waited_for(clock: list[float]) -> None:
    assert waiting.until(lambda: True, seconds=0)
    assert clock == []


def test_it_ends_with_the_first_look_that_finds_the_condition(clock: list[float]) -> None:
    looks = itertools.count(1)
    assert waiting.until(lambda: next(looks) == 4, seconds=60, tick=0.5)
    assert clock == [0.5, 0.5, 0.5]


def test_it_gives_up_once_the_time_has_passed(clock: list[float]) -> None:
    assert not waiting.until(lambda: False, seconds=1, tick=0.4)
    assert sum(clock) == pytest.approx(1.2)


def test_the_condition_is_looked_at_once_more_after_the_time(clock: list[float]) -> None:
    answers = iter([False, False, True])
    assert waiting.until(lambda: next(answers), seconds=0.5, tick=0.6)
    assert clock == [0.6]
