"""Two models on the same rows: the difference of every metric with its interval, overall and by segment."""

import numpy as np
import pandas as pd

from delivery.core.errors import Failure
from delivery.core.params import Compare
from delivery.stats import task
from delivery.stats.bootstrap import blocks, interval, means, scores
from delivery.stats.predictions import PREDICTION, values
from problem import BLOCK, HIGHER_IS_BETTER, KEY, LABEL, PRIMARY, SEGMENTS, losses, score

SAME = 1e-6  # of the primary metric: last bits of another way to compute


FEWEST = 5  # blocks of a segment that is judged: resampling fewer says nothing of how they vary


def sentence(result: dict) -> str:
    """The outcome in plain words: the primary metric's difference, its interval, the rows."""
    if result["comparison"] is None:
        return f"Nothing to compare with: {result['reason']}"
    found = result["comparison"]
    row = next(row for row in found["metrics"] if row["metric"] == PRIMARY)
    name = PRIMARY.replace("_", " ")
    span = f"[{row['low']:+.4f}, {row['high']:+.4f}]"
    where = f"on the same {found['rows']:,} rows ({found['blocks']} {found['block']}s) as {result['against']}"
    if max(abs(row["low"]), abs(row["high"])) < SAME:
        return f"The same predictions {where}"
    if row["verdict"] == "within noise":
        return f"Within noise: {row['difference']:+.4f} {span} {name} {where}"
    return f"{row['verdict'].capitalize()} by {abs(row['difference']):.4f} {span} {name} {where}"


def pair(champion: pd.DataFrame, candidate: pd.DataFrame) -> pd.DataFrame:
    """Both predictions side by side for the rows that both have, matched by KEY."""
    theirs = champion[[*KEY, PREDICTION]].rename(columns={PREDICTION: "champion"})
    ours = candidate.rename(columns={PREDICTION: "candidate"})
    return ours.merge(theirs, on=list(KEY), validate="one_to_one")


def compare(champion: pd.DataFrame, candidate: pd.DataFrame, params: Compare) -> dict:
    """Differences of every metric with intervals, and of the primary one by segment.

    Both frames: KEY, LABEL, BLOCK, SEGMENTS and the prediction, one row per example. A difference
    is positive when the candidate is better, whichever way the metric goes. Raises Failure when
    the rows that both have are too few for an interval.
    """
    rows = pair(champion, candidate)
    if rows[BLOCK].nunique() < 2:
        raise Failure(f"the two have {len(rows)} rows in common, of {rows[BLOCK].nunique()} {BLOCK}s: no interval")
    y, old, new = rows[LABEL].to_numpy(float), values(rows["champion"]), values(rows["candidate"])
    if old.shape != new.shape:
        raise Failure("the two predict other things: one knows classes that the other does not")
    grouped = blocks(rows[BLOCK], params.resamples, params.seed)
    gains = {name: losses(y, old)[name] - loss for name, loss in losses(y, new).items()}
    samples = {name: means(gain, grouped) for name, gain in gains.items()}
    for name, (before, after) in scores(y, [old, new], grouped, params.score_resamples).items():
        samples[name] = (after - before) * (1 if HIGHER_IS_BETTER[name] else -1)
    return {
        "rows": len(rows),
        "blocks": grouped.count,
        "block": BLOCK,
        "confidence": params.confidence,
        "primary": PRIMARY,
        "metrics": metric_table(score(y, old), score(y, new), samples, params.confidence),
        "segments": segment_table(rows, gains[PRIMARY], params),
        "calibration": {"champion": task.gap(y, old), "candidate": task.gap(y, new)},
    }


def metric_table(old: dict, new: dict, samples: dict[str, np.ndarray], confidence: float) -> list[dict]:
    table = []
    for name, higher in HIGHER_IS_BETTER.items():
        low, high = interval(samples[name], confidence)
        table.append(
            {
                "metric": name,
                "higher_is_better": higher,
                "champion": old[name],
                "candidate": new[name],
                "difference": (new[name] - old[name]) * (1 if higher else -1),
                "low": low,
                "high": high,
                "verdict": verdict(low, high),
            }
        )
    return table


def verdict(low: float, high: float) -> str:
    """In words: a difference whose interval holds zero is noise."""
    if low > 0:
        return "better"
    return "worse" if high < 0 else "within noise"


def segment_table(rows: pd.DataFrame, gain: np.ndarray, params: Compare) -> list[dict]:
    """Gain in the primary metric per value of each segment column, with a one-sided p-value for 'worse'."""
    table = []
    for column in SEGMENTS:
        for value in sorted(rows[column].dropna().unique()):
            mask = (rows[column] == value).to_numpy()
            inside = rows[mask]
            samples = means(gain[mask], blocks(inside[BLOCK], params.resamples, params.seed))
            low, high = interval(samples, params.confidence)
            table.append(
                {
                    "segment": f"{column}={value}",
                    "rows": len(inside),
                    "blocks": inside[BLOCK].nunique(),
                    "difference": float(gain[mask].mean()),
                    "low": low,
                    "high": high,
                    "p_worse": float((1 + np.sum(samples >= 0)) / (1 + len(samples))),
                    "judged": len(inside) >= params.segment_rows and inside[BLOCK].nunique() >= FEWEST,
                }
            )
    return table
