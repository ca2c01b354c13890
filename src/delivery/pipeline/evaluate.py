"""Stage `evaluate`: measure the exported model on the test rows. The measured model is the one that will serve."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from msgspec.structs import asdict, replace

from delivery.core import documents, workspace
from delivery.core.files import read_json, replacing, write
from delivery.core.params import Compare, Params
from delivery.core.progress import progress
from delivery.data import prepared
from delivery.model import runtime
from delivery.model.runtime import Score
from delivery.pipeline import plots
from delivery.stats import task
from delivery.stats.bootstrap import blocks, interval, means, scores
from delivery.stats.evaluation import Calibration, CalibrationBin, Evaluation, Importance, Metric, SegmentScore
from delivery.stats.predictions import PREDICTION, describe, features, predictions, values
from problem import BLOCK, FEATURES, LABEL, PERIOD, PRIMARY, SEGMENTS, losses, score


def run(params: Params) -> None:
    """Score the test rows and write predictions, metrics and plots."""
    scorer, test = runtime.load(workspace.EXPORT).score, prepared.read("test")
    rows = predictions(test, scorer(list(zip(*features(test), strict=True))))
    with progress(f"resampling {BLOCK}s"):
        report = measure(rows, params.compare)
    with progress("permuting features"):
        report = replace(report, importance=tuple(importance(scorer, test, params)))
    with replacing(workspace.PREDICTIONS) as path:
        rows.to_parquet(path, index=False)
    draw(rows, report, read_json(workspace.CONVERGENCE, "train"))
    documents.write(workspace.METRICS, report)
    print("evaluate: " + ", ".join(f"{name} {metric.value:.4f}" for name, metric in report.metrics.items()))


def measure(rows: pd.DataFrame, params: Compare) -> Evaluation:
    """Return every metric with its interval over resampled blocks, calibration, and the primary one by segment."""
    y, p = rows[LABEL].to_numpy(float), values(rows[PREDICTION])
    grouped = blocks(rows[BLOCK], params.resamples, params.seed)
    samples = {name: means(loss, grouped) for name, loss in losses(y, p).items()}
    samples |= {name: table[0] for name, table in scores(y, [p], grouped, params.score_resamples).items()}
    metrics = {}
    for name, value in score(y, p).items():
        span = interval(samples[name], params.confidence)
        metrics[name] = Metric(float(value), span.low, span.high)
    return Evaluation(
        rows=len(rows),
        blocks=grouped.count,
        periods=tuple(sorted(rows[PERIOD].unique())),
        problem=describe(),
        level=tuple(task.level(y)),
        metrics=metrics,
        calibration=calibration(y, p),
        segments=tuple(by_segment(rows, losses(y, p)[PRIMARY], params)),
    )


def calibration(y: np.ndarray, p: np.ndarray, bins: int = 10) -> Calibration:
    """Return the overall gap, and mean prediction and mean label in each of `bins` quantile bins of the prediction."""
    predicted, observed = task.plain(p), task.observed(y, p)
    order = np.array_split(np.argsort(predicted, kind="stable"), bins)
    table = [
        CalibrationBin(len(part), float(predicted[part].mean()), float(observed[part].mean()))
        for part in order
        if len(part)
    ]
    return Calibration(task.gap(y, p), tuple(table))


def by_segment(rows: pd.DataFrame, loss: np.ndarray, params: Compare) -> list[SegmentScore]:
    """Return the mean of `loss`, shape (rows,), with its interval for every value of each segment column."""
    table = []
    for column in SEGMENTS:
        for value in sorted(rows[column].dropna().unique()):
            mask = (rows[column] == value).to_numpy()
            grouped = blocks(rows.loc[mask, BLOCK], params.resamples, params.seed)
            span = interval(means(loss[mask], grouped), params.confidence)
            name = f"{column}={value}"
            table.append(SegmentScore(name, int(mask.sum()), float(loss[mask].mean()), span.low, span.high))
    return table


def importance(scorer: Score, test: pd.DataFrame, params: Params) -> list[Importance]:
    """Return the rise of the primary loss when one feature is shuffled (Breiman 2001), mean and SD over repeats."""
    rng = np.random.default_rng(params.compare.seed)
    chosen = np.linspace(0, len(test) - 1, min(len(test), params.evaluate.importance_rows)).astype(int)
    columns, y = features(test.iloc[chosen]), test[LABEL].to_numpy(float)[chosen]

    def loss(columns: list[list[Any]]) -> float:
        return float(losses(y, scorer(list(zip(*columns, strict=True))))[PRIMARY].mean())

    base = loss(columns)
    table = []
    for at, name in enumerate(FEATURES):
        orders = [rng.permutation(len(y)) for _ in range(params.evaluate.importance_repeats)]
        shuffled = [[columns[at][row] for row in order] for order in orders]
        rises = [loss([*columns[:at], column, *columns[at + 1 :]]) - base for column in shuffled]
        table.append(Importance(name, float(np.mean(rises)), float(np.std(rises))))
    return sorted(table, key=lambda row: -row.mean)


def draw(
    rows: pd.DataFrame, report: Evaluation, curves: dict[str, list[float]], folder: Path = workspace.PLOTS
) -> None:
    """Write a PNG for each plot of the task, and those of every task, to `folder`."""
    y, p = rows[LABEL].to_numpy(float), values(rows[PREDICTION])
    metric, overall = PRIMARY.replace("_", " "), report.metrics[PRIMARY].value
    guess = float(losses(y, task.guess(y))[PRIMARY].mean())
    pictures = {name: getattr(plots, name)(y, p) for name in task.TASK.pictures} | {
        "loss_curve": plots.loss_curve({name: curves[name] for name in ("train", "test")}, chance=guess),
        "segments": plots.segments([asdict(row) for row in report.segments], metric, overall),
        "importance": plots.importance([asdict(row) for row in report.importance], metric),
    }
    with replacing(folder) as scratch:
        for name, png in pictures.items():
            write(scratch / f"{name}.png", png)
