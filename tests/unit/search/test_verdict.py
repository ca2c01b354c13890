"""Whether the best of many is better: what is planted is found, and luck is not."""

import made
import numpy as np
import pandas as pd
import pytest
from msgspec.structs import replace
from sample import adjusted
from scipy import stats

from delivery.core.params import Params
from delivery.search import verdict
from delivery.search.trials import Trial
from problem import BLOCK, PERIOD

DAYS, A_DAY = 40, 100


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    days = np.repeat(np.arange(DAYS), A_DAY)
    return pd.DataFrame({PERIOD: np.where(days < 20, "2013-01", "2013-02"), BLOCK: [f"day {day:02}" for day in days]})


def trials(settings: Params, count: int, gain: float, noise: float, seed: int) -> list[Trial]:
    """The present settings, and others that differ by noise; the last one is better by `gain` a row."""
    rng = np.random.default_rng(seed)
    present = 50 + rng.normal(0, 5, DAYS)
    sums = [present, *(present + rng.normal(0, noise * A_DAY, DAYS) for _ in range(count))]
    sums[-1] = sums[-1] - gain * A_DAY
    return [Trial(adjusted(settings.train, max_iter=at + 1), values.tolist(), 1.0) for at, values in enumerate(sums)]


def judged(settings: Params, rows: pd.DataFrame, *wanted) -> verdict.SearchResult:
    found = trials(settings, *wanted)
    return verdict.judge(found, rows, made.changed(settings, train=found[0].train, compare__confidence=0.95))


def test_what_is_better_is_found(settings: Params, rows: pd.DataFrame) -> None:
    found = judged(settings, rows, 20, 0.02, 0.01, 1)
    assert found.better
    assert found.best == {"max_iter": 21}
    assert 0.01 < found.low < found.gain
    assert verdict.sentence(found).startswith("Better beyond noise: max_iter 21 gains +0.0")


def test_the_best_of_many_that_are_alike_is_luck(settings: Params, rows: pd.DataFrame) -> None:
    """Taken alone the best of twenty looks better in most of the streams; with all counted in a twentieth of them."""
    alone = together = 0
    for seed in range(100):
        found = judged(settings, rows, 20, 0.0, 0.01, seed)
        best = next(row for row in found.trials if row.settings == found.best)
        spread = 0.01 / np.sqrt(DAYS)
        alone += best.gain - 1.645 * spread > 0
        together += found.better
    assert alone > 50
    assert together <= 12


def test_a_wild_trial_does_not_hide_a_good_one(settings: Params, rows: pd.DataFrame) -> None:
    found = trials(settings, 5, 0.02, 0.01, 1)
    wild = np.array(found[0].sums) + np.random.default_rng(2).normal(0, 10 * A_DAY, DAYS)
    found.append(Trial(adjusted(settings.train, max_iter=50), (wild + 5 * A_DAY).tolist(), 1.0))
    result = verdict.judge(found, rows, made.changed(settings, train=found[0].train))
    assert result.better
    assert result.best == {"max_iter": 6}


def test_the_same_everywhere_is_no_winner(settings: Params, rows: pd.DataFrame) -> None:
    found = judged(settings, rows, 5, 0.0, 0.0, 1)
    assert not found.better
    assert found.gain == 0
    assert found.low == 0
    assert "which stay" in verdict.sentence(found)


def test_one_trial_alone_has_the_bound_of_a_t_test(settings: Params, rows: pd.DataFrame) -> None:
    """With nothing to choose from there is nothing to correct."""
    found = judged(settings, rows, 1, 0.02, 0.05, 3)
    present, other = trials(settings, 1, 0.02, 0.05, 3)
    gains = (np.array(present.sums) - np.array(other.sums)) / A_DAY
    bound = gains.mean() - stats.t.ppf(0.95, DAYS - 1) * stats.sem(gains)
    assert found.low == pytest.approx(bound, abs=0.2 * stats.sem(gains))


def test_what_failed_is_told_and_judged_no_further(settings: Params, rows: pd.DataFrame) -> None:
    found = trials(settings, 3, 0.05, 0.01, 1)
    failed = Trial(adjusted(settings.train, max_iter=99), [], 1.0, "did not converge")
    result = verdict.judge([*found, failed], rows, made.changed(settings, train=found[0].train))
    result = replace(result, folds=("2013-02",))
    assert result.best == {"max_iter": 4}
    assert len(result.trials) == 4
    page = verdict.page(result)
    assert "Failed: max_iter 99: did not converge" in page
    assert "| the present settings | 0.5" in page
    assert "Tried on 2013-02, each predicted from the periods before it; no test row was read." in page
