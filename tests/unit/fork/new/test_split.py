"""Splits and gates come from the rows: the same for the same rows, sensible for few and for many."""

import numpy as np
import orders
import pandas as pd
import pytest

from delivery.core.errors import Failure
from delivery.fork.new import columns, split

NOTHING: dict[str, list[str]] = {name: [] for name in ("target", "time", "key", "segments", "drop", "keep")}


def plan(frame: pd.DataFrame) -> split.Proposal:
    asked = NOTHING | {"target": [str(frame.columns[-1])]}
    return split.propose(columns.classify(frame, {"sep": ","}, asked, ""), [])


def timed(freq: str, count: int = 400) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    when = pd.date_range("2024-01-01", periods=count, freq=freq)
    return pd.DataFrame({"at": when, "x": rng.normal(size=count), "target": rng.normal(size=count)})


def test_the_newest_rows_are_for_the_test_and_the_newest_period_is_the_future() -> None:
    found = plan(orders.rows())
    assert (found.unit, found.until, found.periods[-1]) == ("month", "2024-06", "2024-07")
    assert found.test_rows >= split.SHARE * (found.test_rows + found.train_rows)
    assert (found.block, found.segments) == ("day", ["class_"])
    assert found.calendar == ("day_of_week", "hour")


@pytest.mark.parametrize(
    ("freq", "unit", "block"),
    [("D", "month", "day"), ("3h", "week", "day"), ("30min", "day", "hour"), ("min", "hour", "row")],
)
def test_periods_are_as_long_as_the_rows_allow(freq: str, unit: str, block: str) -> None:
    found = plan(timed(freq))
    assert (found.unit, found.block) == (unit, block)
    assert found.periods == sorted(found.periods)


def test_labels_that_come_later_than_rows_are_noticed() -> None:
    frame = timed("3h")
    assert plan(frame).label_days == 0
    frame.loc[frame.index[-30:], "target"] = np.nan  # three days and 18 hours
    assert plan(frame).label_days == 3


def test_without_times_the_order_of_the_file_counts() -> None:
    found = plan(timed("D").drop(columns="at"))
    assert found.per_day == 400 // split.A_DAY
    assert found.calendar == ()
    assert len(found.periods) >= split.ENOUGH


def test_rows_of_one_hour_cannot_be_split() -> None:
    with pytest.raises(Failure, match="too few to split by time"):
        plan(timed("s"))


@pytest.mark.parametrize(
    ("target", "floors"),
    [
        (np.tile([0.0, 10.0], 200), {"log_loss": 0.693, "auc": 0.55}),
        (np.tile([0.0, 10.0, 20.5, 30.0], 100), {"absolute_error": 10.2}),
        (np.tile(["a", "b", "a", "c"], 100), {"log_loss": 1.04, "error_rate": 0.5}),
    ],
)
def test_floors_are_what_one_reaches_who_knows_nothing(target, floors: dict) -> None:
    found = plan(timed("D").assign(target=target))
    assert {name: value for name, (value, _) in found.floors.items()} == pytest.approx(floors, rel=0.02)
