"""Work in several processes: results in order, and a clear error if one is killed."""

import os

import pytest

from delivery.compute import processes
from delivery.core.errors import Failure
from delivery.data import tables


@pytest.fixture(autouse=True)
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes.engine, "cores", lambda: 2)


def test_results_are_in_order_and_a_failure_is_raised() -> None:
    assert list(processes.each(abs, range(-9, 0))) == list(range(9, 0, -1))
    with pytest.raises(Failure, match="there is no period never"):
        list(processes.each(tables.expected, ["never", "never"]))


def test_a_process_killed_from_outside_is_a_failure_with_the_fix() -> None:
    with pytest.raises(Failure, match="one of 2 processes was killed, most likely for lack of memory"):
        list(processes.each(os._exit, [9, 9, 9]))
