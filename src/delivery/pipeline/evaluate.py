"""Stage `evaluate`: how good the exported model is on the test rows; what is measured is what will serve."""

from pathlib import Path

import numpy as np
import pandas as pd

from delivery.core import workspace
from delivery.core.files import read_json, replacing, write, write_json
from delivery.core.params import Compare, Params
from delivery.core.progress import progress
from delivery.data import prepared
from delivery.model import runtime
from delivery.model.runtime import Score
from delivery.pipeline import plots
from delivery.stats import task
from delivery.stats.bootstrap import blocks, interval, means, scores
from delivery.stats.predictions import PREDICTION, describe, features, predictions, values
from problem import BLOCK, FEATURES, LABEL, PERIOD, PRIMARY, SEGMENTS, losses, score


def run(params: Params) -> None:
    scorer, test = runtime.load(workspace.EXPORT).score, prepared.read("test")
    rows = predictions(test, scorer(list(zip(*features(test), strict=True))))
    with progress(f"resampling {BLOCK}s"):
        report = measure(rows, params.compare)
    with progress("permuting features"):
        report["importance"] = importance(scorer, test, params)
    with replacing(workspace.PREDICTIONS) as path:
        rows.to_parquet(path, index=False)
    draw(rows, report, read_json(workspace.CONVERGENCE, "train"))
    write_json(workspace.METRICS, report)
    print("evaluate: " + ", ".join(f"{name} {value['value']:.4f}" for name, value in report["metrics"].items()))


def measure(rows: pd.DataFrame, params: Compare) -> dict:
    """Every metric with its interval over resampled blocks, calibration, and the primary one by segment."""
    y, p = rows[LABEL].to_numpy(float), values(rows[PREDICTION])
    grouped = blocks(rows[BLOCK], params.resamples, params.seed)
    samples = {name: means(loss, grouped) for name, loss in losses(y, p).items()}
    samples |= {name: table[0] for name, table in scores(y, [p], grouped, params.score_resamples).items()}
    metrics = {}
    for name, value in score(y, p).items():
        low, high = interval(samples[name], params.confidence)
        metrics[name] = {"value": value, "low": low, "high": high}
    return {
        "rows": len(rows),
        "blocks": grouped.count,
        "periods": sorted(rows[PERIOD].unique()),
        "problem": describe(),
        "level": task.level(y),
        "metrics": metrics,
        "calibration": calibration(y, p),
        "segments": by_segment(rows, losses(y, p)[PRIMARY], params),
    }


def calibration(y: np.ndarray, p: np.ndarray, bins: int = 10) -> dict:
    """The gap in the large, and mean prediction beside mean label per quantile bin of the prediction."""
    one, label = task.plain(p), task.observed(y, p)
    order = np.array_split(np.argsort(one, kind="stable"), bins)
    table = [
        {"rows": len(part), "predicted": one[part].mean(), "observed": label[part].mean()}
        for part in order
        if len(part)
    ]
    return {"gap": task.gap(y, p), "bins": table}


def by_segment(rows: pd.DataFrame, loss: np.ndarray, params: Compare) -> list[dict]:
    table = []
    for column in SEGMENTS:
        for value in sorted(rows[column].dropna().unique()):
            mask = (rows[column] == value).to_numpy()
            grouped = blocks(rows.loc[mask, BLOCK], params.resamples, params.seed)
            low, high = interval(means(loss[mask], grouped), params.confidence)
            table.append(
                {
                    "segment": f"{column}={value}",
                    "rows": int(mask.sum()),
                    "value": loss[mask].mean(),
                    "low": low,
                    "high": high,
                }
            )
    return table


def importance(scorer: Score, test: pd.DataFrame, params: Params) -> list[dict]:
    """Rise of the primary loss when one feature is shuffled (Breiman 2001), mean and SD over repeats."""
    rng = np.random.default_rng(params.compare.seed)
    chosen = np.linspace(0, len(test) - 1, min(len(test), params.evaluate.importance_rows)).astype(int)
    columns, y = features(test.iloc[chosen]), test[LABEL].to_numpy(float)[chosen]

    def loss(columns: list[list]) -> float:
        return float(losses(y, scorer(list(zip(*columns, strict=True))))[PRIMARY].mean())

    base = loss(columns)
    table = []
    for at, name in enumerate(FEATURES):
        orders = [rng.permutation(len(y)) for _ in range(params.evaluate.importance_repeats)]
        shuffled = [[columns[at][row] for row in order] for order in orders]
        rises = [loss([*columns[:at], column, *columns[at + 1 :]]) - base for column in shuffled]
        table.append({"feature": name, "mean": np.mean(rises), "sd": np.std(rises)})
    return sorted(table, key=lambda row: -row["mean"])


def draw(rows: pd.DataFrame, report: dict, curves: dict[str, list[float]], folder: Path = workspace.PLOTS) -> None:
    y, p = rows[LABEL].to_numpy(float), values(rows[PREDICTION])
    metric, overall = PRIMARY.replace("_", " "), report["metrics"][PRIMARY]["value"]
    guess = float(losses(y, task.guess(y))[PRIMARY].mean())
    pictures = {name: getattr(plots, name)(y, p) for name in task.TASK.pictures} | {
        "loss_curve": plots.loss_curve({name: curves[name] for name in ("train", "test")}, chance=guess),
        "segments": plots.segments(report["segments"], metric, overall),
        "importance": plots.importance(report["importance"], metric),
    }
    with replacing(folder) as scratch:
        for name, png in pictures.items():
            write(scratch / f"{name}.png", png)
