"""Verb `backtest`: the year again, month by month: when would a retraining have been proposed, and was it worth it?

Frozen, the first champion serves all year and every month is judged against it; replaced, each proposal is merged
and serves from the next month on. Both are held against never and against always retraining.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from delivery.core import files, params, workspace
from delivery.core.params import Params
from delivery.data import tables
from delivery.drift import arrival, plots, policy
from delivery.drift.replay import Replay, first, fit, loss, today, window
from problem import LABEL, PERIOD, PRIMARY

MODES = ("frozen", "replaced")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--mode", choices=MODES, help="without it both")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument(
        "--plot", type=Path, default=workspace.BACKTEST_PLOT, metavar="FILE", help="where the picture goes"
    )


def main(options: argparse.Namespace) -> None:
    result = run(params.load(), (options.mode,) if options.mode else MODES)
    files.write_json(workspace.BACKTEST, result)
    files.write(options.plot, plots.backtest(result))
    print(json.dumps(files.rounded(result), indent=1) if options.json else "\n".join(map(markdown, result.values())))


def run(settings: Params, modes: tuple[str, ...] = MODES) -> dict[str, dict]:
    """By mode: a row per month and the totals. The models are fitted once for all modes."""
    last = tables.periods()[-1]
    examples = arrival.examples(arrival.fetched(last), last, settings)
    examples = examples.dropna(subset=[LABEL]).reset_index(drop=True)
    replay = fit(examples, settings)
    return {mode: summary(mode, list(months(replay, mode, settings)), replay) for mode in modes}


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
