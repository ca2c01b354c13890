"""Population stability index and missing rates."""

import math

import numpy as np
import pandas as pd
import pytest

from delivery import skew

DECILES = pd.Series(np.arange(100.0))


def test_of_categories_by_hand() -> None:
    before, now = pd.Series(["a"] * 8 + ["b"] * 2), pd.Series(["a"] * 5 + ["b"] * 5)
    expected = (0.5 - 0.8) * math.log(0.5 / 0.8) + (0.5 - 0.2) * math.log(0.5 / 0.2)
    assert skew.psi(before, now) == pytest.approx(expected)


def test_of_numbers_by_hand() -> None:
    """Ten deciles of a tenth each; the lower half is empty now, whose share counts as 1e-4."""
    now = pd.Series(np.arange(50.0, 100).repeat(2))
    expected = 5 * ((0.2 - 0.1) * math.log(2) + (1e-4 - 0.1) * math.log(1e-4 / 0.1))
    assert skew.psi(DECILES, now) == pytest.approx(expected)


def test_of_missing_values_by_hand() -> None:
    """One value in ten is missing now: a bin of its own, and the rest is spread as before."""
    now = DECILES.where(DECILES % 10 != 0)
    expected = 10 * (0.09 - 0.1) * math.log(0.9) + (0.1 - 1e-4) * math.log(0.1 / 1e-4)
    assert skew.psi(DECILES, now) == pytest.approx(expected)


def test_a_category_that_was_never_seen_is_a_bin() -> None:
    before, now = pd.Series(["a"] * 10), pd.Series(["a"] * 5 + ["c"] * 5)
    assert skew.psi(before, now) == pytest.approx((0.5 - 1) * math.log(0.5) + (0.5 - 1e-4) * math.log(0.5 / 1e-4))


@pytest.mark.parametrize(
    "column",
    [DECILES, pd.Series(["a", None, "b"]), pd.Series([1.0, 1, 1]), pd.Series([np.nan, 1]), pd.Series([True, False])],
    ids=["numbers", "categories", "a constant", "missing", "flags"],
)
def test_the_same_values_have_none(column: pd.Series) -> None:
    assert skew.psi(column, column) == 0
    assert skew.psi(column, column.sample(frac=1, random_state=0)) == 0


@pytest.mark.filterwarnings("ignore:All-NaN")
def test_a_column_that_was_always_missing_and_now_is_not_is_shifted() -> None:
    assert skew.psi(pd.Series([np.nan] * 5), pd.Series([1.0] * 5)) > 1


def test_the_table_leads_with_the_most_shifted_and_seasons_never_alarm() -> None:
    before = pd.DataFrame({"temp": DECILES, "seats": DECILES, "same": DECILES})
    now = pd.DataFrame({"temp": DECILES + 90, "seats": (DECILES + 60).where(DECILES > 30), "same": DECILES})
    rows = skew.table(before, now, ["same", "seats", "temp"], ("temp",), 0.25)
    assert [row["column"] for row in rows] == ["seats", "temp", "same"]
    assert {row["column"]: row["alarm"] for row in rows} == {"temp": False, "seats": True, "same": False}
    assert rows[0]["missing_before"] == 0
    assert rows[0]["missing_now"] == pytest.approx(0.31)
