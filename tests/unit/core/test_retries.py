"""Retries: only of errors that are worth one, never more often than allowed, with pauses that grow at random."""

import random
import subprocess
import sys
from collections.abc import Callable

import pytest

from delivery.core import retries


class Lost(Exception):
    """An error that is worth a retry."""


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses, which take no time."""
    pauses: list[float] = []
    monkeypatch.setattr(retries, "sleep", pauses.append)
    return pauses


def failing(times: int, error: Exception) -> tuple[Callable[[], str], list[int]]:
    """Return a function that fails so many times and then succeeds, and the list of its calls."""
    calls: list[int] = []

    def work() -> str:
        calls.append(len(calls))
        if len(calls) <= times:
            raise error
        return "done"

    return work, calls


def lost(error: BaseException) -> bool:
    return isinstance(error, Lost)


def test_success_is_returned_without_a_pause(slept: list[float]) -> None:
    work, calls = failing(0, Lost())
    assert retries.call(work, attempts=3, worth=lost, base=1) == "done"
    assert (len(calls), slept) == (1, [])


def test_the_pause_doubles_before_each_retry(slept: list[float]) -> None:
    work, calls = failing(3, Lost())
    assert retries.call(work, attempts=4, worth=lost, base=0.25) == "done"
    assert (len(calls), slept) == (4, [0.25, 0.5, 1.0])


@pytest.mark.parametrize(("share", "pauses"), [(0.0, [1, 2]), (1.0, [1.5, 3])])
def test_jitter_adds_up_to_its_own_doubling_amount(
    share: float, pauses: list[float], slept: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(random, "uniform", lambda low, high: low + share * (high - low))
    work, _ = failing(2, Lost())
    retries.call(work, attempts=3, worth=lost, base=1, jitter=0.5)
    assert slept == pauses


def test_the_last_error_is_raised_without_a_pause_after_it(slept: list[float]) -> None:
    work, calls = failing(3, Lost("again"))
    with pytest.raises(Lost, match="again"):
        retries.call(work, attempts=3, worth=lost, base=1)
    assert (len(calls), slept) == (3, [1, 2])


def test_an_error_that_is_not_worth_a_retry_is_raised_at_once(slept: list[float]) -> None:
    work, calls = failing(1, ValueError("broken"))
    with pytest.raises(ValueError, match="broken"):
        retries.call(work, attempts=3, worth=lost)
    assert (len(calls), slept) == (1, [])


def test_the_pause_that_the_other_side_asks_for_replaces_ours(slept: list[float]) -> None:
    work, _ = failing(2, Lost())
    answers = iter([7.0, None])
    retries.call(work, attempts=3, worth=lost, base=1, asked=lambda error: next(answers))
    assert slept == [7.0, 2.0]


def test_modules_that_retry_do_not_load_the_library_before_they_call_it() -> None:
    code = "import sys, delivery.adapters.github, delivery.adapters.store; sys.exit('tenacity' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
