"""Verb `backtest`: the year again, month by month: when would a retraining have been proposed, and was it worth it?

Frozen, the first champion serves all year and every month is judged against it; replaced, each proposal is merged
and serves from the next month on. Both are held against never and against always retraining.
"""

import argparse
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from delivery import engine, files, params, processes, tables, task, windows
from delivery.drift import challenger, plots, policy
from delivery.errors import Failure
from delivery.fetch import into
from delivery.params import Params
from problem import BLOCK, FEATURES, LABEL, PERIOD, PRIMARY, TIME, losses, predict

MODES = ("frozen", "replaced")
REPORT = files.REPORTS / "drift.backtest.json"
PLOT = files.REPORTS / "drift.backtest.png"


class Replay(NamedTuple):
    """Labelled rows, and what each model says of the months it has not seen."""

    examples: pd.DataFrame
    periods: list[str]
    scores: dict[int, np.ndarray]  # by months of training: for all rows, NaN where the model was trained
    seconds: dict[int, float]  # that its training took


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--mode", choices=MODES, help="without it both")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("--plot", type=Path, default=PLOT, metavar="FILE", help="where the picture goes")


def main(options: argparse.Namespace) -> None:
    result = run(params.load(), (options.mode,) if options.mode else MODES)
    files.write_json(REPORT, result)
    files.write(options.plot, plots.backtest(result))
    print(json.dumps(files.rounded(result), indent=1) if options.json else "\n".join(map(markdown, result.values())))


def run(settings: Params, modes: tuple[str, ...] = MODES) -> dict[str, dict]:
    """By mode: a row per month and the totals. The models are fitted once for all modes."""
    last = tables.periods()[-1]
    folder = files.CACHE / "drift" / last
    if not folder.is_dir():
        into(folder, last)
    cut = windows.cut(last, settings.engine, folder)
    examples = pd.concat(processes.each(windows.features, cut, settings.engine), ignore_index=True)
    examples = examples.dropna(subset=[LABEL]).reset_index(drop=True)
    replay = fit(examples, settings)
    return {mode: summary(mode, list(months(replay, mode, settings)), replay) for mode in modes}


def first(periods: list[str], settings: Params) -> int:
    """Months that the first champion was trained on. Raises Failure when nothing is left to replay."""
    trained = periods.index(settings.fetch.until) + 1 - settings.prepare.test_periods
    if trained < 1 or trained + settings.prepare.test_periods >= len(periods):
        raise Failure(
            f"a backtest from {settings.fetch.until} needs months before and after it, and the source has "
            f"{periods[0]} to {periods[-1]}"
        )
    return trained


def fit(examples: pd.DataFrame, settings: Params) -> Replay:
    periods = sorted(examples[PERIOD].unique())
    counts = range(first(periods, settings), len(periods))
    with within_reach(examples, settings.engine) as source:
        work = partial(unseen, source, settings)
        done = list(engine.in_order(work, [periods[count] for count in counts], settings.engine))
    scores = {count: scored for count, (scored, _) in zip(counts, done, strict=True)}
    seconds = {count: took for count, (_, took) in zip(counts, done, strict=True)}
    return Replay(examples, periods, scores, seconds)


@contextmanager
def within_reach(examples: pd.DataFrame, where: str) -> Iterator[pd.DataFrame | Path]:
    """The examples as they are, or on a cluster the path of a file of them for as long as it is needed."""
    if not engine.cluster(where):
        yield examples
        return
    path = files.CACHE / "drift" / f"examples.{os.getpid()}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    examples.to_parquet(path)
    try:
        yield path
    finally:
        path.unlink()


def unseen(source: pd.DataFrame | Path, settings: Params, period: str) -> tuple[np.ndarray, float]:
    """What a model of everything before the period says of all rows, NaN of those it knows, and how long it trained."""
    examples = pd.read_parquet(source) if isinstance(source, Path) else source
    start = time.monotonic()
    model = challenger.fitted(examples, period, settings)
    seconds = time.monotonic() - start
    new = (examples[PERIOD] >= period).to_numpy()
    scores = np.full(task.shape(len(examples)), np.nan)
    scores[new] = predict(model, examples.loc[new, list(FEATURES)])
    return scores, seconds


def months(replay: Replay, mode: str, settings: Params) -> Iterator[dict[str, Any]]:
    """What a check at the end of each month would have decided, and how the models did that served in it."""
    champion = start = first(replay.periods, settings)
    since = settings.fetch.until
    history: list[dict] = []
    served = always = start
    for at in range(replay.periods.index(since) + 1, len(replay.periods)):
        month = replay.periods[at]
        row: dict[str, Any] = {"month": month, "champion_until": replay.periods[champion - 1]}
        row |= {
            "never": loss(replay, start, at),
            "policy": loss(replay, served, at),
            "always": loss(replay, always, at),
        }
        row["rows"] = int((replay.examples[PERIOD] == month).sum())
        row |= check(replay, champion, at, since, history, settings)
        row["next"] = (
            loss(replay, champion, at + 1) - loss(replay, at, at + 1) if at + 1 < len(replay.periods) else None
        )
        history.append(row | {"date": today(replay, at), "champion": str(champion), "seconds": replay.seconds[at]})
        if row["retrain"]:
            served = at
        if row["retrain"] and mode == "replaced":
            champion, since = at, month
        always = at
        yield row


def check(replay: Replay, champion: int, at: int, since: str, history: list[dict], settings: Params) -> dict[str, Any]:
    """The decision of `drift` from the same policy, on predictions that are there already."""
    month, drift = replay.periods[at], settings.drift
    windows = [window(replay, champion, month) for month in range(champion + 1, at + 1)]
    newest = windows[-1]
    stop = {"retrain": False, "withdraw": False, "gain": None}
    count = int(newest.rows.sum())
    if why := policy.unready(count, count, len(newest.rows), drift):
        return stop | {"verdict": "wait", "why": why}
    if why := policy.hindrance(history, month, replay.periods, since, today(replay, at), drift):
        return stop | {"verdict": "skip", "why": why}
    judged = policy.judge(windows, settings.compare, drift)
    agreed = policy.confirm(judged["verdict"], month, str(champion), history, drift)
    return agreed | {
        "verdict": judged["verdict"],
        "why": judged["why"],
        "gain": judged["newest"],
        "pooled": judged["pooled"],
    }


def window(replay: Replay, champion: int, at: int) -> policy.Window:
    inside = (replay.examples[PERIOD] == replay.periods[at]).to_numpy()
    rows = replay.examples.loc[inside, [LABEL, BLOCK, PERIOD]]
    return challenger.window(rows, replay.scores[champion][inside], replay.scores[at][inside])


def today(replay: Replay, at: int) -> str:
    """The last day of the period, as the check's calendar would have said."""
    inside = replay.examples[PERIOD] == replay.periods[at]
    return f"{replay.examples.loc[inside, TIME].max():%Y-%m-%d}"


def loss(replay: Replay, model: int, at: int) -> float:
    inside = (replay.examples[PERIOD] == replay.periods[at]).to_numpy()
    y = replay.examples.loc[inside, LABEL].to_numpy(float)
    return float(losses(y, replay.scores[model][inside])[PRIMARY].mean())


def summary(mode: str, rows: list[dict[str, Any]], replay: Replay) -> dict[str, Any]:
    """Gains are per row over all months, against never retraining."""
    weight = np.array([row["rows"] for row in rows], float)
    never, ours, always = (np.array([row[name] for row in rows]) for name in ("never", "policy", "always"))
    gain, most = (float(weight @ (never - other) / weight.sum()) for other in (ours, always))
    return {
        "mode": mode,
        "months": rows,
        "opened": [row["month"] for row in rows if row["retrain"]],
        "runs": sum(row["retrain"] for row in rows),
        "runs_always": len(rows),
        "gain": gain,
        "gain_always": most,
        "share": gain / most if most > 0 else None,
        "seconds": sum(replay.seconds.values()),
    }


def markdown(result: dict[str, Any]) -> str:
    unit = PRIMARY.replace("_", " ")
    lines = [
        f"**{result['mode']}**: a pull request in {', '.join(result['opened']) or 'no month'}.",
        "",
        f"| month | champion until | gain of a challenger | decision | {unit}: never | policy | always | gain next month |",
        "|---|---|---:|---|---:|---:|---:|---:|",
    ]
    for row in result["months"]:
        gain = policy.span(row["gain"]) if row["gain"] else ""
        pooled = row["gain"] and len(row["pooled"]["months"]) > 1
        gain += f", pooled {policy.span(row['pooled'])}" if pooled else ""
        word = "**retrain**" if row["retrain"] else row["verdict"]
        following = "" if row["next"] is None else f"{row['next']:+.4f}"
        lines.append(
            f"| {row['month']} | {row['champion_until']} | {gain} | {word} | {row['never']:.4f} | {row['policy']:.4f} "
            f"| {row['always']:.4f} | {following} |"
        )
    share = "" if result["share"] is None else f", {result['share']:.0%} of it"
    if result["mode"] == "replaced":
        lines += [
            "",
            f"{result['runs']} of {result['runs_always']} runs gained {result['gain']:+.4f} {unit} a row over never "
            f"retraining; always retraining gained {result['gain_always']:+.4f}{share}.",
        ]
    return "\n".join(lines) + "\n"
