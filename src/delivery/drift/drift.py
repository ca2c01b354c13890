"""Verb `drift`: judge whether a period has arrived for which a new model would be better.

Every period drifts, so drift alone decides nothing. A challenger trained on all that came before the period is
compared with the champion on the period's own rows; `policy` decides, the tables of what moved are evidence.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from delivery.adapters import github, store
from delivery.core import params, workspace
from delivery.core.params import Params
from delivery.data import freshness
from delivery.data.fetch import into
from delivery.drift import agenda, arrival, check, decisions, served
from delivery.drift.result import as_text
from delivery.render.markdown import escaped


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the verb."""
    parser.add_argument(
        "--period",
        "--month",
        metavar="PERIOD",
        help="period to judge (default: those that are not decided and can be, oldest first, at most drift.max_judged)",
    )
    parser.add_argument(
        "--served",
        metavar="ADDRESS",
        help="folder or address of the service's prediction log, to be joined with labels",
    )
    parser.add_argument(
        "--push",
        action="store_true",
        help="record the decision in the store's log, from which the retraining limits are counted",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def main(options: argparse.Namespace) -> int:
    """Check the periods that are due, or the one that is asked for, and print the page or the JSON of the last one judged.

    Return 1 if no challenger could be trained for a period that is still open, also if another period was decided again, and
    if rows or labels are late.
    """
    settings = params.load()
    if options.push:
        print(store.pull())
    log = served.local_log(options.served) if options.served else None
    taken = one(options.period, settings, log) if options.period else agenda.take(settings, log)
    entries, result, windows, arrived, behind = taken
    known = freshness.read()
    if not arrived.rows and not known.rows:  # a fork's first checks: what main's model has seen
        arrived = arrival.newest(settings)
    arrived = freshness.latest(known, arrived)
    late = [] if behind or options.period else freshness.late(arrived, settings.drift)
    if result is None:
        print(check.nothing(settings.fetch.until).why)
        github.summary(workspace.DRIFT_PAGE.read_text())
        if options.push and (arrived.rows, arrived.labels) != (known.rows, known.labels):
            print(decisions.record([], [], arrived))
        return told(late)
    check.conclude(result, taken.withdrawal)
    check.draw(result, settings)
    for entry in entries:
        if entry.period != result.period:
            line = f"{entry.period}: {entry.verdict}: {entry.why}"
            print(f"drift: {line}", file=sys.stderr)
            github.summary(escaped(line))
    github.summary(workspace.DRIFT_PAGE.read_text())
    print(as_text(result) if options.json else workspace.DRIFT_PAGE.read_text())
    if options.push:
        print(decisions.record(entries, windows, arrived))
    return told(late) or int(any(entry.verdict == "failed" for entry in entries))


def told(late: Sequence[str]) -> int:
    """Say what is late, also on the page of the workflow run; return 1 if anything is."""
    for line in late:
        print(f"error: {line}", file=sys.stderr)
        github.summary(f"**❌ {escaped(line)}**")
        github.annotate("drift", line)
    return int(bool(late))


def one(period: str, settings: Params, log: Path | None) -> agenda.Taken:
    """Check a period that is asked for, whatever was decided on it before."""
    into(arrival.folder_of(period), period)  # what was fetched for an earlier check may be old
    result = check.run(settings, period, log)
    return agenda.Taken([decisions.entry(result)], result, result.windows, result.arrived)
