"""Fit a year's models once; each predicts the periods that it has not seen."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from delivery.compute import engine
from delivery.core import workspace
from delivery.core.errors import Failure
from delivery.core.params import Params
from delivery.drift import challenger, policy
from delivery.pipeline import train
from delivery.stats import task
from problem import BLOCK, FEATURES, LABEL, PERIOD, PRIMARY, TIME, losses, predict


class Replay(NamedTuple):
    """Labelled rows, and what each model predicts for the periods it has not seen."""

    examples: pd.DataFrame
    periods: list[str]
    scores: dict[int, np.ndarray]  # by number of training periods: for all rows, NaN where the model was trained
    seconds: dict[int, float]  # by number of training periods: duration of the training


def first_training(periods: list[str], settings: Params) -> int:
    """Return how many periods the first champion was trained on. Raise `Failure` if nothing is left to replay."""
    trained = periods.index(settings.fetch.until) + 1 - settings.prepare.test_periods
    if trained < 1 or trained + settings.prepare.test_periods >= len(periods):
        raise Failure(
            f"a backtest from {settings.fetch.until} needs periods before and after it, and the source has "
            f"{periods[0]} to {periods[-1]}"
        )
    return trained


def fit(examples: pd.DataFrame, settings: Params) -> Replay:
    """Train a model for each period from the first champion's on, in parallel if the engine is a cluster."""
    periods = sorted(examples[PERIOD].unique())
    counts = range(first_training(periods, settings), len(periods))
    with within_reach(examples, settings.engine) as source:
        work = partial(unseen, source, settings)
        done = list(engine.in_order(work, [periods[count] for count in counts], settings.engine))
    scores = {count: scored for count, (scored, _) in zip(counts, done, strict=True)}
    seconds = {count: duration for count, (_, duration) in zip(counts, done, strict=True)}
    return Replay(examples, periods, scores, seconds)


@contextmanager
def within_reach(examples: pd.DataFrame, engine_name: str) -> Iterator[pd.DataFrame | Path]:
    """Yield the examples as they are, or on a cluster the path of a file of them for as long as it is needed."""
    if not engine.cluster(engine_name):
        yield examples
        return
    path = workspace.CACHE / "drift" / f"examples.{os.getpid()}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    examples.to_parquet(path)
    try:
        yield path
    finally:
        path.unlink()


def unseen(source: pd.DataFrame | Path, settings: Params, period: str) -> tuple[np.ndarray, float]:
    """Return the predictions of a model of everything before the period, and how many seconds it trained.

    Shape (rows,), multi-class (rows, classes); NaN for the rows it was trained on.
    """
    examples = pd.read_parquet(source) if isinstance(source, Path) else source
    start = time.monotonic()
    model = train.fitted(examples, period, settings)
    seconds = time.monotonic() - start
    new = (examples[PERIOD] >= period).to_numpy()
    scores = np.full(task.shape(len(examples)), np.nan)
    scores[new] = predict(model, examples.loc[new, list(FEATURES)])
    return scores, seconds


def window(replay: Replay, champion: int, at: int) -> policy.Window:
    """Return the window of the period number `at`, between the models of `champion` and of `at` training periods."""
    inside = (replay.examples[PERIOD] == replay.periods[at]).to_numpy()
    rows = replay.examples.loc[inside, [LABEL, BLOCK, PERIOD]]
    return challenger.window(rows, replay.scores[champion][inside], replay.scores[at][inside])


def today(replay: Replay, at: int) -> str:
    """Return the last day of the period as an ISO date: the day on which a check would have run."""
    inside = replay.examples[PERIOD] == replay.periods[at]
    return f"{replay.examples.loc[inside, TIME].max():%Y-%m-%d}"


def loss(replay: Replay, model: int, at: int) -> float:
    """Return the mean primary loss in the period number `at` of the model of `model` training periods."""
    inside = (replay.examples[PERIOD] == replay.periods[at]).to_numpy()
    y = replay.examples.loc[inside, LABEL].to_numpy(float)
    return float(losses(y, replay.scores[model][inside])[PRIMARY].mean())
