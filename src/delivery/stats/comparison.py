"""Compare two models on the same rows: the difference of every metric with its interval, overall and by segment."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from delivery.core.errors import Failure
from delivery.core.params import Compare
from delivery.stats import task
from delivery.stats.bootstrap import blocks, interval, means, scores
from delivery.stats.predictions import PREDICTION, values
from delivery.stats.verdicts import CalibrationGaps, Comparison, MetricRow, Outcome, SegmentRow
from problem import BLOCK, HIGHER_IS_BETTER, KEY, LABEL, PRIMARY, SEGMENTS, losses, score

FEWEST = 5  # blocks of a segment that is judged: resampling fewer does not show how they vary


def pair(champion: pd.DataFrame, candidate: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that both have, matched by KEY, with both predictions in columns champion and candidate."""
    of_champion = champion[[*KEY, PREDICTION]].rename(columns={PREDICTION: "champion"})
    of_candidate = candidate.rename(columns={PREDICTION: "candidate"})
    return of_candidate.merge(of_champion, on=list(KEY), validate="one_to_one")


def compare(champion: pd.DataFrame, candidate: pd.DataFrame, params: Compare) -> Comparison:
    """Return the difference of every metric with its interval, and of the primary one by segment.

    Both frames: KEY, LABEL, BLOCK, SEGMENTS and the prediction, one row per example. A difference
    is positive when the candidate is better, whether the metric is higher or lower then. Raise `Failure` if
    the rows that both have are in fewer than two blocks, or the two predict different classes.
    """
    rows = pair(champion, candidate)
    if rows[BLOCK].nunique() < 2:
        raise Failure(f"the two have {len(rows)} rows in common, of {rows[BLOCK].nunique()} {BLOCK}s: no interval")
    y, old, new = rows[LABEL].to_numpy(float), values(rows["champion"]), values(rows["candidate"])
    if old.shape != new.shape:
        raise Failure("the two predict different things: one has classes that the other lacks")
    grouped = blocks(rows[BLOCK], params.resamples, params.seed)
    gains = {name: losses(y, old)[name] - loss for name, loss in losses(y, new).items()}
    samples = {name: means(gain, grouped) for name, gain in gains.items()}
    for name, (before, after) in scores(y, [old, new], grouped, params.score_resamples).items():
        samples[name] = (after - before) * (1 if HIGHER_IS_BETTER[name] else -1)
    return Comparison(
        rows=len(rows),
        blocks=grouped.count,
        block=BLOCK,
        confidence=params.confidence,
        primary=PRIMARY,
        metrics=tuple(metric_table(score(y, old), score(y, new), samples, params.confidence)),
        segments=tuple(segment_table(rows, gains[PRIMARY], params)),
        calibration=CalibrationGaps(task.gap(y, old), task.gap(y, new)),
    )


def metric_table(
    old: Mapping[str, float], new: Mapping[str, float], samples: Mapping[str, NDArray[np.float64]], confidence: float
) -> list[MetricRow]:
    """Return a row for each metric; `samples` has its resampled differences, shape (resamples,)."""
    table = []
    for name, higher in HIGHER_IS_BETTER.items():
        span = interval(samples[name], confidence)
        table.append(
            MetricRow(
                metric=name,
                higher_is_better=higher,
                champion=float(old[name]),
                candidate=float(new[name]),
                difference=float((new[name] - old[name]) * (1 if higher else -1)),
                low=span.low,
                high=span.high,
                verdict=verdict(span.low, span.high),
            )
        )
    return table


def verdict(low: float, high: float) -> Outcome:
    """Return what an interval means: a difference whose interval contains zero is noise."""
    if low > 0:
        return "better"
    return "worse" if high < 0 else "within noise"


def segment_table(rows: pd.DataFrame, gain: NDArray[np.float64], params: Compare) -> list[SegmentRow]:
    """Return a row for each value of each segment column: the mean gain in the primary loss, and a one-sided p-value.

    `gain`, shape (rows,), is positive where the candidate is better; a small p-value means that it is worse.
    """
    table = []
    for column in SEGMENTS:
        for value in sorted(rows[column].dropna().unique()):
            mask = (rows[column] == value).to_numpy()
            inside = rows[mask]
            samples = means(gain[mask], blocks(inside[BLOCK], params.resamples, params.seed))
            span = interval(samples, params.confidence)
            table.append(
                SegmentRow(
                    segment=f"{column}={value}",
                    rows=len(inside),
                    blocks=int(inside[BLOCK].nunique()),
                    difference=float(gain[mask].mean()),
                    low=span.low,
                    high=span.high,
                    p_worse=float((1 + np.sum(samples >= 0)) / (1 + len(samples))),
                    judged=bool(len(inside) >= params.segment_rows and inside[BLOCK].nunique() >= FEWEST),
                )
            )
    return table
