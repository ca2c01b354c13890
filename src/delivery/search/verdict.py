"""Judge whether the best of many trials is better than the present settings, in a sentence and a table."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import pandas as pd
from msgspec import Struct
from numpy.typing import NDArray

from delivery.core.params import Params
from delivery.search.trials import Trial
from delivery.stats.bootstrap import blocks
from problem import BLOCK, PERIOD, PRIMARY, Train

SHOWN = 10  # trials in the table
UNIT = PRIMARY.replace("_", " ")
Matrix = NDArray[Any]


class TrialRow(Struct, frozen=True):
    """A trial in the table: the settings that differ from the present ones, and what they gain."""

    settings: dict[str, Any]
    loss: float
    """Mean loss per row."""
    gain: float
    """Mean gain per row over the present settings."""
    seconds: float


class FailedTrial(Struct, frozen=True):
    """Settings that could not be trained."""

    settings: dict[str, Any]
    why: str


class SearchResult(Struct, frozen=True):
    """What a search has found."""

    rows: int
    blocks: int
    confidence: float
    trials: tuple[TrialRow, ...]
    failed: tuple[FailedTrial, ...]
    best: dict[str, Any]
    """Settings of the best trial that differ from the present ones."""
    gain: float
    low: float
    """Lower end of the gain's interval, with all trials taken into account."""
    better: bool
    folds: tuple[str, ...] = ()
    """Periods that were predicted."""


def judge(trials: Sequence[Trial], rows: pd.DataFrame, settings: Params) -> SearchResult:
    """Judge whether the best trial is better than the present settings, which are the first trial, beyond noise.

    The best of many is good by luck too. So the lower ends of all gains hold at once: each lies as many of its own
    standard errors below as the luckiest trial of a resample lies above. Source: Romano and Wolf (2005).
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
    table = tuple(
        TrialRow(differing(trial.train, settings.train), sum(trial.sums) / len(rows), gain, trial.seconds)
        for trial, gain in zip(fitted, mean.tolist(), strict=True)
    )
    return SearchResult(
        rows=len(rows),
        blocks=len(sizes),
        confidence=settings.compare.confidence,
        trials=table,
        failed=tuple(
            FailedTrial(differing(trial.train, settings.train), trial.failed) for trial in trials if trial.failed
        ),
        best=table[best].settings,
        gain=float(mean[best]),
        low=float(low[best]),
        better=bool(low[best] > 0),
    )


def means(gains: Matrix, sizes: Matrix, draws: Matrix) -> tuple[Matrix, Matrix]:
    """Return the mean gain per row and its standard error in each draw of blocks, both of shape (draws, trials).

    `gains` has shape (trials, blocks), `sizes` (blocks,) and `draws` (draws, blocks). The mean is a ratio of sums over
    blocks, and its error that of a ratio estimator.
    """
    rows = (draws @ sizes)[:, None]
    mean = draws @ gains.T / rows
    count = len(sizes)
    squares = draws @ (gains**2).T - 2 * mean * (draws @ (gains * sizes).T) + mean**2 * (draws @ sizes**2)[:, None]
    return mean, np.sqrt(np.maximum(squares, 0) * count / (count - 1)) / rows


def differing(train: Train, present: Train) -> dict[str, Any]:
    """Return the settings that differ from the present ones."""
    old, new = msgspec.to_builtins(present), msgspec.to_builtins(train)
    return {name: value for name, value in new.items() if value != old[name]}


def in_words(values: Mapping[str, Any]) -> str:
    """Return settings that differ from the present ones, in words."""
    return ", ".join(f"{name} {value}" for name, value in values.items()) or "the present settings"


def page(result: SearchResult) -> str:
    """Return the result in a sentence, and the best trials, as Markdown."""
    lines = [sentence(result), "", f"| settings | {UNIT} | gain per row |", "|---|---:|---:|"]
    order = sorted(result.trials, key=lambda row: row.loss)
    shown = order[:SHOWN] + [row for row in order[SHOWN:] if not row.settings]
    lines += [f"| {in_words(row.settings)} | {row.loss:.4f} | {row.gain:+.4f} |" for row in shown]
    lines += [
        "",
        f"Tried on {', '.join(result.folds)}, each predicted from the periods before it; no test row was read.",
    ]
    lines += [f"Failed: {in_words(row.settings)}: {row.why}" for row in result.failed]
    return "\n".join(lines)


def sentence(result: SearchResult) -> str:
    """Return in a sentence whether the best trial is better than the present settings, and by how much."""
    count = len(result.trials)
    if not result.best:
        return f"None of {count} trials is better than the present settings, which stay."
    evidence = f"on {result.rows:,} rows ({result.blocks} {BLOCK}s), at {result.confidence:.0%} at least"
    evidence += f" {result.low:+.4f} with all {count} trials taken into account"
    best = f"{in_words(result.best)} gains {result.gain:+.4f} {UNIT} per row {evidence}"
    if result.better:
        return f"Better beyond noise: {best}."
    return f"The present settings stay: the best of {count} trials is within noise. {best}."
