"""Verb `backtest`: replay the year period by period: when would a retraining have been proposed, and was it worth it?

Frozen, the first champion serves all year and every period is judged against it; replaced, each proposal is merged
and serves from the next period on. Both are compared with never and with always retraining.
"""

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from delivery.core import files, params, workspace
from delivery.core.params import Params
from delivery.drift import arrival, plots, policy
from delivery.drift.judgement import Measured, Outcome
from delivery.drift.replay import Replay, first_training, fit, loss, today, window
from delivery.drift.result import Backtest, ReplayedPeriod
from delivery.drift.verdicts import LogEntry
from problem import LABEL, PERIOD, PRIMARY, periods

MODES = ("frozen", "replaced")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the verb."""
    parser.add_argument("--mode", choices=MODES, help="replay this mode only; the default is both")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument(
        "--plot", type=Path, default=workspace.BACKTEST_PLOT, metavar="FILE", help="file to write the plot to"
    )


def main(options: argparse.Namespace) -> None:
    """Replay the year, write the result and the plot, and print tables or JSON."""
    result = run(params.load(), (options.mode,) if options.mode else MODES)
    content = as_document(result)
    files.write_json(workspace.BACKTEST, content)
    files.write(options.plot, plots.backtest(result))
    print(json.dumps(files.rounded(content), indent=1) if options.json else "\n".join(map(markdown, result.values())))


def run(settings: Params, modes: tuple[str, ...] = MODES) -> Mapping[str, Backtest]:
    """Return the replay of each mode. The models are fitted once for all modes."""
    last = periods()[-1]
    examples = arrival.feature_rows(arrival.fetched(last), last, settings)
    examples = examples.dropna(subset=[LABEL]).reset_index(drop=True)
    replay = fit(examples, settings)
    return {mode: summary(mode, list(replayed_periods(replay, mode, settings)), replay) for mode in modes}


def replayed_periods(replay: Replay, mode: str, settings: Params) -> Iterator[ReplayedPeriod]:
    """Yield what a check at the end of each period would have decided, and the losses of the models that served in it.

    Models are numbered by the periods they were trained on.
    """
    champion = start = first_training(replay.periods, settings)
    since = settings.fetch.until
    history: list[LogEntry] = []
    served = always = start
    for at in range(replay.periods.index(since) + 1, len(replay.periods)):
        period = replay.periods[at]
        outcome = check(replay, champion, at, since, history, settings)
        judged, confirmation = outcome.measured.judged, outcome.confirmation
        yield ReplayedPeriod(
            period=period,
            champion_until=replay.periods[champion - 1],
            never=loss(replay, start, at),
            policy=loss(replay, served, at),
            always=loss(replay, always, at),
            rows=int((replay.examples[PERIOD] == period).sum()),
            streak=confirmation.streak,
            retrain=confirmation.retrain,
            withdraw=confirmation.withdraw,
            verdict=outcome.verdict,
            why=outcome.why,
            gain=judged.newest if judged else None,
            pooled=judged.pooled if judged else None,
            next=next_gain(replay, champion, at),
        )
        history.append(log_entry(replay, champion, at, outcome))
        if confirmation.retrain:
            served = at
        if confirmation.retrain and mode == "replaced":
            champion, since = at, period
        always = at


def next_gain(replay: Replay, champion: int, at: int) -> float | None:
    """Return what the challenger of the period number `at` gains in the next one, None if there is no next one."""
    return loss(replay, champion, at + 1) - loss(replay, at, at + 1) if at + 1 < len(replay.periods) else None


def log_entry(replay: Replay, champion: int, at: int, outcome: Outcome) -> LogEntry:
    """Return the entry that the log would have of the check, with the fields that the policy reads."""
    return LogEntry(
        date=today(replay, at),
        period=replay.periods[at],
        verdict=outcome.verdict,
        retrain=outcome.confirmation.retrain,
        champion=str(champion),
        seconds=replay.seconds[at],
    )


def check(replay: Replay, champion: int, at: int, since: str, history: Sequence[LogEntry], settings: Params) -> Outcome:
    """Return the decision of `drift` by the same policy, on predictions that the replay has made already."""
    period, drift = replay.periods[at], settings.drift
    windows = [window(replay, champion, number) for number in range(champion + 1, at + 1)]
    newest = windows[-1]
    count = int(newest.rows.sum())
    if why := policy.unready(count, count, len(newest.rows), drift):
        return Outcome("wait", why)
    if why := policy.hindrance(history, period, replay.periods, since, drift):
        return Outcome("skip", why)
    if why := policy.spent(history, today(replay, at), drift):
        return Outcome("wait", why)
    judged = policy.judge(windows, settings.compare, drift)
    confirmation = policy.confirm(judged.verdict, period, str(champion), history, drift)
    return Outcome(judged.verdict, judged.why, confirmation, Measured(judged=judged))


def summary(mode: str, rows: Sequence[ReplayedPeriod], replay: Replay) -> Backtest:
    """Return the totals; gains are per row over all periods, against never retraining."""
    weight = np.array([row.rows for row in rows], float)
    gained = np.array([row.never - row.policy for row in rows])
    gained_always = np.array([row.never - row.always for row in rows])
    gain, most = (float(weight @ each / weight.sum()) for each in (gained, gained_always))
    return Backtest(
        mode=mode,
        periods=tuple(rows),
        opened=tuple(row.period for row in rows if row.retrain),
        runs=sum(row.retrain for row in rows),
        runs_always=len(rows),
        gain=gain,
        gain_always=most,
        share=gain / most if most > 0 else None,
        seconds=sum(replay.seconds.values()),
    )


def as_document(result: Mapping[str, Backtest]) -> Any:
    """Return the content of drift.backtest.json, in the order in which `backtest --json` prints it."""
    content = msgspec.to_builtins(result)
    for backtest in content.values():
        for row in backtest["months"]:
            if row["gain"] is None:  # the order of a check that trained no challenger
                for name in ("verdict", "why", "next"):
                    row[name] = row.pop(name)
    return content


def markdown(result: Backtest) -> str:
    """Return the replay of one mode as a table, and in mode `replaced` a sentence with the totals."""
    unit = PRIMARY.replace("_", " ")
    lines = [
        f"**{result.mode}**: a pull request in {', '.join(result.opened) or 'no period'}.",
        "",
        f"| period | champion until | gain of a challenger | decision | {unit}: never | policy | always | gain next period |",
        "|---|---|---:|---|---:|---:|---:|---:|",
        *map(_row, result.periods),
    ]
    share = "" if result.share is None else f", {result.share:.0%} of it"
    if result.mode == "replaced":
        lines += [
            "",
            f"{result.runs} of {result.runs_always} runs gained {result.gain:+.4f} {unit} a row over never "
            f"retraining; always retraining gained {result.gain_always:+.4f}{share}.",
        ]
    return "\n".join(lines) + "\n"


def _row(row: ReplayedPeriod) -> str:
    gain = policy.span(row.gain) if row.gain else ""
    if row.pooled and len(row.pooled.periods) > 1:
        gain += f", pooled {policy.span(row.pooled)}"
    decision = "**retrain**" if row.retrain else row.verdict
    following = "" if row.next is None else f"{row.next:+.4f}"
    return (
        f"| {row.period} | {row.champion_until} | {gain} | {decision} | {row.never:.4f} | {row.policy:.4f} "
        f"| {row.always:.4f} | {following} |"
    )
