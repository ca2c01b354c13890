"""Whether the best of many trials is better than the present settings, in a sentence and a table."""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import pandas as pd

from delivery.core.params import Params
from delivery.search.trials import Trial
from delivery.stats.bootstrap import blocks
from problem import BLOCK, PERIOD, PRIMARY, Train

SHOWN = 10  # trials in the table
UNIT = PRIMARY.replace("_", " ")


def judge(trials: Sequence[Trial], rows: pd.DataFrame, settings: Params) -> dict[str, Any]:
    """Whether the best is better than the present settings, the first of the trials, beyond noise.

    The best of many is good by luck too, so that the lower ends of all gains hold at once: each by as many of its own
    standard errors as the luckiest trial of a resample has (Romano and Wolf 2005).
    """
    fitted = [trial for trial in trials if not trial.failed]
    sizes = rows.groupby([PERIOD, BLOCK]).size().to_numpy()
    gains = np.array(fitted[0].sums) - np.array([trial.sums for trial in fitted])  # (trials, blocks)
    mean, error = means(gains, sizes, np.ones((1, len(sizes))))
    draws = blocks(pd.Series(range(len(sizes))), settings.compare.resamples, settings.compare.seed).draws
    resampled, errors = means(gains, sizes, draws)
    luck = np.divide(resampled - mean, errors, out=np.zeros_like(errors), where=errors > 0).max(axis=1)
    mean, error = mean[0], error[0]
    low = mean - np.quantile(luck, settings.compare.confidence) * error
    best = int(np.argmax(low if low.max() > 0 else mean))
    table = [
        {"settings": differing(trial.train, settings.train), "loss": sum(trial.sums) / len(rows), "gain": gain}
        | {"seconds": trial.seconds}
        for trial, gain in zip(fitted, mean.tolist(), strict=True)
    ]
    return {
        "rows": len(rows),
        "blocks": len(sizes),
        "confidence": settings.compare.confidence,
        "trials": table,
        "failed": [
            {"settings": differing(trial.train, settings.train), "why": trial.failed}
            for trial in trials
            if trial.failed
        ],
        "best": table[best]["settings"],
        "gain": float(mean[best]),
        "low": float(low[best]),
        "better": bool(low[best] > 0),
    }


def means(gains: np.ndarray, sizes: np.ndarray, draws: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean gain of a row and its standard error in each draw of blocks, shapes (draws, trials); of a ratio, by blocks."""
    rows = (draws @ sizes)[:, None]
    mean = draws @ gains.T / rows
    count = len(sizes)
    squares = draws @ (gains**2).T - 2 * mean * (draws @ (gains * sizes).T) + mean**2 * (draws @ sizes**2)[:, None]
    return mean, np.sqrt(np.maximum(squares, 0) * count / (count - 1)) / rows


def differing(train: Train, present: Train) -> dict[str, Any]:
    old, new = msgspec.to_builtins(present), msgspec.to_builtins(train)
    return {name: value for name, value in new.items() if value != old[name]}


def said(values: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items()) or "the present settings"


def page(result: dict[str, Any]) -> str:
    """The outcome in a sentence, and the best trials."""
    lines = [sentence(result), "", f"| settings | {UNIT} | gain a row |", "|---|---:|---:|"]
    order = sorted(result["trials"], key=lambda row: row["loss"])
    shown = order[:SHOWN] + [row for row in order[SHOWN:] if not row["settings"]]
    lines += [f"| {said(row['settings'])} | {row['loss']:.4f} | {row['gain']:+.4f} |" for row in shown]
    lines += ["", f"Tried on {', '.join(result['folds'])}, each from what was before it; no test row was looked at."]
    lines += [f"Failed: {said(row['settings'])}: {row['why']}" for row in result["failed"]]
    return "\n".join(lines)


def sentence(result: dict[str, Any]) -> str:
    count = len(result["trials"])
    where = f"on {result['rows']:,} rows ({result['blocks']} {BLOCK}s), at {result['confidence']:.0%} at least"
    where += f" {result['low']:+.4f} with all {count} trials taken into account"
    if not result["best"]:
        return f"None of {count} trials is better than the present settings, which stay."
    best = f"{said(result['best'])} gains {result['gain']:+.4f} {UNIT} a row {where}"
    if result["better"]:
        return f"Better beyond noise: {best}."
    return f"The present settings stay: the best of {count} trials is within noise. {best}."
