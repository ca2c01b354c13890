"""Intervals from whole days, and their coverage."""

import made
import msgspec
import numpy as np
import pandas as pd
import pytest

from delivery.stats import bootstrap
from delivery.stats.bootstrap import Blocks, blocks, holm, interval, means, scores
from delivery.stats.predictions import PREDICTION, values
from delivery.stats.task import plain
from problem import BLOCK

DAYS, A_DAY = 30, 20


def ends(samples: np.ndarray, confidence: float) -> tuple[float, float]:
    return msgspec.structs.astuple(interval(samples, confidence))


def coverage(grouped_by_day: bool, simulations: int = 200) -> float:
    """Return how often a 95 % interval of the mean contains the true mean, 0, if errors are correlated within days."""
    day = np.repeat(np.arange(DAYS), A_DAY)
    grouped = blocks(pd.Series(day if grouped_by_day else np.arange(len(day))), 300, seed=1)
    held = 0
    for seed in range(simulations):
        rng = np.random.default_rng(seed)
        values = np.repeat(rng.normal(size=DAYS), A_DAY) + rng.normal(size=DAYS * A_DAY)
        low, high = ends(means(values, grouped), 0.95)
        held += low <= 0 <= high
    return held / simulations


def test_an_interval_over_days_has_its_nominal_coverage() -> None:
    assert 0.85 <= coverage(grouped_by_day=True) <= 0.99


def test_resampling_rows_instead_of_days_covers_far_too_rarely() -> None:
    assert coverage(grouped_by_day=False) < 0.6


def test_the_same_rows_and_seed_give_the_same_draws() -> None:
    day = made.predictions()[BLOCK]
    first, second, other = blocks(day, 50, seed=1), blocks(day, 50, seed=1), blocks(day, 50, seed=2)
    assert np.array_equal(first.draws, second.draws)
    assert not np.array_equal(first.draws, other.draws)
    assert (first.draws.sum(axis=1) == first.count).all()


def test_the_order_of_the_rows_does_not_matter() -> None:
    rows = made.predictions()
    mixed = rows.sample(frac=1, random_state=3)
    one, two = (means(plain(values(frame[PREDICTION])), blocks(frame[BLOCK], 100, seed=1)) for frame in (rows, mixed))
    assert one == pytest.approx(two, abs=1e-12)


def test_a_resampled_mean_is_the_mean_over_the_drawn_days() -> None:
    grouped = blocks(pd.Series(["a", "a", "b"]), 20, seed=0)
    expected = [np.average([2.0, 4.0, 9.0], weights=draw[grouped.codes]) for draw in grouped.draws]
    assert means(np.array([2.0, 4.0, 9.0]), grouped) == pytest.approx(expected)


def test_the_interval_has_the_same_share_of_the_samples_on_either_side() -> None:
    assert ends(np.arange(101.0), 0.9) == pytest.approx((5.0, 95.0))
    assert ends(np.arange(101.0), 0.5) == pytest.approx((25.0, 75.0))


def test_each_resample_draws_as_many_blocks_as_there_are_and_all_equally_often() -> None:
    grouped = blocks(pd.Series(["c", "a", "b", "a"]), 4000, seed=3)
    assert grouped.codes.tolist() == [2, 0, 1, 0]
    assert grouped.count == 3
    assert grouped.draws.shape == (4000, 3)
    assert grouped.draws.mean(axis=0) == pytest.approx([1, 1, 1], abs=0.05)


def test_a_resample_that_draws_no_row_is_left_out() -> None:
    grouped = Blocks(np.array([0, 1, 1]), np.array([[0, 0, 3], [1, 0, 2], [1, 1, 1]]), 3)  # the third block has no row
    assert means(np.array([3.0, 6.0, 9.0]), grouped).tolist() == [3.0, 6.0]


def test_a_score_is_that_of_the_drawn_rows_each_weighted_by_its_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    def losses(y: np.ndarray, p: np.ndarray) -> dict[str, np.ndarray]:
        assert len(y) == len(p)
        return {"loss": y - p}

    def score(y: np.ndarray, p: np.ndarray, weight: np.ndarray) -> dict[str, float]:
        return {"loss": 0.0, "digits": 1000 * len(y) + float((10 * p + y) @ weight)}

    monkeypatch.setattr(bootstrap, "HIGHER_IS_BETTER", {"loss": False, "digits": True})
    monkeypatch.setattr(bootstrap, "losses", losses)
    monkeypatch.setattr(bootstrap, "score", score)
    grouped = Blocks(np.array([0, 0, 1]), np.array([[1, 1], [0, 2], [2, 0]]), 2)
    y, first, second = np.array([1.0, 2.0, 3.0]), np.array([4.0, 5.0, 6.0]), np.array([7.0, 8.0, 9.0])
    found = scores(y, [first, second], grouped, 2)
    assert {name: values.tolist() for name, values in found.items()} == {
        "digits": [[3000 + 41 + 52 + 63, 1000 + 2 * 63], [3000 + 71 + 82 + 93, 1000 + 2 * 93]]
    }
    assert scores(y, [first], grouped, 3)["digits"].tolist() == [[3156, 1126, 2000 + 2 * (41 + 52)]]


def test_one_block_has_no_spread() -> None:
    assert set(means(np.array([1.0, 3.0]), blocks(pd.Series(["a", "a"]), 10, seed=0))) == {2.0}


@pytest.mark.parametrize(
    ("p_values", "adjusted"),
    [
        ([0.01, 0.04, 0.03], [0.03, 0.06, 0.06]),  # times 3, 1 and 2, and never below the one before
        ([0.5, 0.02], [0.5, 0.04]),
        ([0.9, 0.8], [1.0, 1.0]),
        ([0.2], [0.2]),
        ([], []),
    ],
)
def test_holm_equals_values_computed_by_hand(p_values: list[float], adjusted: list[float]) -> None:
    assert holm(p_values) == pytest.approx(adjusted)
