"""Intervals from resampled blocks.

The errors of one block's rows (a day's) are correlated, so blocks are resampled instead of rows.
Method: block bootstrap, percentile interval (Efron and Tibshirani 1993, chapters 8 and 13).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from delivery.stats.evaluation import Interval
from problem import HIGHER_IS_BETTER, losses, score


@dataclass(frozen=True)
class Blocks:
    """Rows grouped into `count` blocks, and how often each resample draws each block."""

    codes: NDArray[np.intp]  # (rows,) block of each row
    draws: NDArray[np.int64]  # (resamples, count)
    count: int


def blocks(values: pd.Series, resamples: int, seed: int) -> Blocks:
    """Group rows by their block, shape (rows,), and draw the blocks with replacement. The seed decides the draws."""
    codes, names = pd.factorize(values, sort=True)
    count = len(names)
    draws = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=resamples)
    return Blocks(codes, draws, count)


def interval(samples: NDArray[np.float64], confidence: float) -> Interval:
    """Return the quantiles of `samples`, shape (resamples,), between which the share `confidence` of them lies."""
    tail = (1 - confidence) / 2
    low, high = np.quantile(samples, [tail, 1 - tail])
    return Interval(float(low), float(high))


def means(values: NDArray[np.float64], grouped: Blocks) -> NDArray[np.float64]:
    """Return the mean of `values` (rows,) in each resample that has rows, shape (resamples,) or fewer."""
    sums = np.bincount(grouped.codes, values, grouped.count)
    sizes = np.bincount(grouped.codes, minlength=grouped.count)
    total = grouped.draws @ sizes
    # A resample may contain no row of a small segment; its mean does not exist.
    return (grouped.draws @ sums)[total > 0] / total[total > 0]


def scores(
    y: NDArray[np.float64], predictions: Sequence[NDArray[np.float64]], grouped: Blocks, count: int
) -> dict[str, NDArray[np.float64]]:
    """Return the metrics that are not means over rows, in `count` resamples, shape (predictions, count).

    A row's weight is how often the resample draws its block.
    """
    others = [name for name in HIGHER_IS_BETTER if name not in losses(y[:1], predictions[0][:1])]
    out = {name: np.empty((len(predictions), count)) for name in others}
    for resample, draw in enumerate(grouped.draws[:count]):
        weight = draw[grouped.codes]
        drawn = weight > 0
        for model, p in enumerate(predictions):
            values = score(y[drawn], p[drawn], weight[drawn])
            for name in others:
                out[name][model, resample] = values[name]
    return out


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p-values adjusted for the family-wise error rate, in the order given. Method: Holm 1979."""
    order = np.argsort(p_values)
    adjusted = np.empty(len(p_values))
    running = 0.0
    for rank, index in enumerate(order):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = running
    return adjusted.tolist()
