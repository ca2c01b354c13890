"""Which periods a replay has models for; test_backtest.py tests the decisions."""

import made
import pytest

from delivery.core.errors import Failure
from delivery.core.params import Params
from delivery.drift import replay

MONTHS = [f"2013-{month:02d}" for month in range(1, 9)]


def test_a_replay_needs_periods_on_both_sides(settings: Params) -> None:
    for until, tested in (("2013-08", 1), ("2013-03", 3)):
        with pytest.raises(Failure, match=r"a backtest from 2013-0\d needs periods before and after it"):
            replay.first_training(MONTHS, made.changed(settings, fetch__until=until, prepare__test_periods=tested))
