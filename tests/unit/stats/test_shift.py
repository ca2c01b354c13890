"""How far columns have moved, in memory and from files."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2_contingency

from delivery.stats import shift


@pytest.fixture
def pair() -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(0)

    def frame(rows: int, mean: float, words: list[str]) -> pd.DataFrame:
        numbers = rng.normal(mean, 1, rows)
        numbers[::10] = np.nan
        return pd.DataFrame({"number": numbers, "word": rng.choice(words, rows), "flag": rng.random(rows) < 0.5})

    before, now = frame(5000, 0.0, ["a", "b", "c"]), frame(3000, 0.4, ["a", "b", "d"])
    now.loc[::7, "word"] = None
    return before, now


def table(before: pd.DataFrame, now: pd.DataFrame) -> dict[str, shift.ShiftRow]:
    where = shift.bins(before, map(str, before))
    rows = shift.table(shift.count(before, where), shift.count(now, where), ("flag",), 0.25)
    return {row.column: row for row in rows}


def psi(p: np.ndarray, q: np.ndarray) -> float:
    return float(np.sum((q - p) * np.log(q / p)))


def test_numbers_and_words_equal_values_computed_by_hand(pair: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    before, now = pair
    found = table(before, now)
    cuts = before["number"].quantile(np.arange(1, 10) / 10)
    shares = (
        np.bincount(np.searchsorted(cuts, rows["number"].dropna()), minlength=10) / len(rows) for rows in (before, now)
    )
    assert found["number"].psi == pytest.approx(psi(*shares), rel=0.05)  # as many are missing in both
    assert found["number"].missing_now == pytest.approx(0.1)
    assert found["word"].missing_now == pytest.approx(1 / 7, abs=0.01)
    assert found["word"].alarm
    assert not found["flag"].alarm


def test_jensen_shannon_equals_a_value_computed_by_hand() -> None:
    before, now = pd.DataFrame({"a": ["x", "x"]}), pd.DataFrame({"a": ["y", "y", "y"]})
    assert table(before, now)["a"].jensen_shannon == pytest.approx(1), "nothing in common"
    assert table(before, before)["a"].jensen_shannon == pytest.approx(0)
    half = pd.DataFrame({"a": ["x", "y"]})
    expected = 0.5 * np.log2(1 / 0.75) + 0.5 * (0.5 * np.log2(0.5 / 0.75) + 0.5 * np.log2(0.5 / 0.25))
    assert table(before, half)["a"].jensen_shannon == pytest.approx(np.sqrt(expected))


def test_counts_of_pieces_add_up_to_those_of_the_whole(pair: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    before, now = pair
    where = shift.bins(before, ["number", "word"])
    found = shift.added(shift.count(now.iloc[:1000], where), shift.count(now.iloc[1000:], where))
    for name, counts in shift.count(now, where).items():
        np.testing.assert_array_equal(found[name], counts)


def test_counts_agree_with_the_bin_of_each_row(pair: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    before, now = pair
    for name, own in shift.bins(before, map(str, before)).items():
        counts = shift.count(now, {name: own})[name]
        np.testing.assert_array_equal(np.bincount(shift.codes(now[name], own), minlength=len(counts)), counts)


def test_a_column_that_was_always_missing() -> None:
    before, now = pd.DataFrame({"a": [np.nan] * 5}), pd.DataFrame({"a": [1.0] * 5})
    found = table(before, now)["a"]
    assert found.psi > 1
    assert (found.missing_before, found.missing_now) == (1, 0)


NUMBERS = {"ten numbers": (10, 500, 22), "few before": (10, 66, 22), "many numbers": (10, 9000, 3000)}
WORDS = {"two words": (2, 300, 22), "thirty words": (30, 500, 22), "words that are mostly rare": (200, 2000, 22)}


@pytest.mark.parametrize("kind", NUMBERS | WORDS)
def test_rows_of_one_distribution_seldom_raise_an_alarm(kind: str) -> None:
    """The index alone is above 0.25 in 87 % of the tables of ten bins and 22 rows; an alarm is meant to come in 1 %."""
    (bins, before, now), rng, alarms, tables = (NUMBERS | WORDS)[kind], np.random.default_rng(0), 0, 1000
    shares = np.full(bins, 1 / bins) if kind in NUMBERS else rng.dirichlet(np.ones(bins))
    for _ in range(tables):
        old, new = ({"a": rng.multinomial(rows, shares)} for rows in (before, now))
        alarms += shift.table(old, new, (), 0.25)[0].alarm
    assert alarms <= 0.03 * tables


def test_few_rows_that_have_moved_far_raise_the_alarm() -> None:
    """By a standard deviation and a half: in 22 rows it is found nine times in ten."""
    rng, found = np.random.default_rng(0), 0
    for _ in range(200):
        old, new = (pd.DataFrame({"a": rng.normal(mean, 1, rows)}) for mean, rows in ((0, 500), (1.5, 22)))
        found += table(old, new)["a"].alarm
    assert found >= 180


def test_the_probability_is_that_of_pearsons_test() -> None:
    before, now = np.array([120, 90, 60, 30]), np.array([20, 30, 40, 30])
    assert shift.by_chance(before, now) == pytest.approx(chi2_contingency([before, now], correction=False).pvalue)
    assert shift.by_chance(np.array([9, 0]), np.array([4, 0])) == 1
    assert shift.by_chance(np.array([500, 1, 0]), np.array([20, 0, 2])) < 0.001, "rare values together are many"
