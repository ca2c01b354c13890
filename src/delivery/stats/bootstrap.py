"""Intervals from resampled blocks.

Rows of one block (a day) go well or badly together, so the sample that matters is the blocks.
Method: block bootstrap, percentile interval (Efron and Tibshirani 1993, chapters 8 and 13).
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from delivery.stats.evaluation import Interval
from problem import HIGHER_IS_BETTER, losses, score


@dataclass(frozen=True)
class Blocks:
    """Rows grouped into `count` blocks, and how often each resample draws each block."""

    codes: np.ndarray  # (rows,) block of each row
    draws: np.ndarray  # (resamples, count)
    count: int


def blocks(values: pd.Series, resamples: int, seed: int) -> Blocks:
    """The same rows and seed give the same draws, whoever asks."""
    codes, names = pd.factorize(values, sort=True)
    count = len(names)
    draws = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=resamples)
    return Blocks(codes, draws, count)


def interval(samples: np.ndarray, confidence: float) -> Interval:
    """Return the quantiles of `samples`, shape (resamples,), between which the share `confidence` of them lies."""
    tail = (1 - confidence) / 2
    low, high = np.quantile(samples, [tail, 1 - tail])
    return Interval(float(low), float(high))


def means(values: np.ndarray, grouped: Blocks) -> np.ndarray:
    """Mean of `values` (rows,) in each resample, shape (resamples,)."""
    sums = np.bincount(grouped.codes, values, grouped.count)
    sizes = np.bincount(grouped.codes, minlength=grouped.count)
    total = grouped.draws @ sizes
    # A draw may miss every block of a small segment; it says nothing and is left out.
    return (grouped.draws @ sums)[total > 0] / total[total > 0]


def scores(y: np.ndarray, predictions: list[np.ndarray], grouped: Blocks, count: int) -> dict[str, np.ndarray]:
    """The metrics that are not means over rows, shape (predictions, count), a resample as row weights."""
    others = [name for name in HIGHER_IS_BETTER if name not in losses(y[:1], predictions[0][:1])]
    out = {name: np.empty((len(predictions), count)) for name in others}
    for at, draw in enumerate(grouped.draws[:count]):
        weight = draw[grouped.codes]
        kept = weight > 0
        for which, p in enumerate(predictions):
            got = score(y[kept], p[kept], weight[kept])
            for name in others:
                out[name][which, at] = got[name]
    return out


def holm(p_values: list[float]) -> list[float]:
    """Adjusted p-values, family-wise (Holm 1979), in the order given."""
    order = np.argsort(p_values)
    adjusted = np.empty(len(p_values))
    running = 0.0
    for rank, index in enumerate(order):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = running
    return adjusted.tolist()
