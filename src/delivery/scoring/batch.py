"""Verb `batch`: score the periods that the serving version has not scored, and keep the predictions with their origin."""

import argparse
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from delivery.adapters import batch_records, github, large_files, store
from delivery.adapters.batch_records import Record, Scored
from delivery.core import files, params, workspace
from delivery.core.errors import Failure
from delivery.core.params import Params
from delivery.pipeline import validate
from delivery.registry import registry
from delivery.registry.version import Version
from delivery.scoring import scorer
from problem import periods

Keep = Callable[[Record], None]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the verb."""
    parser.add_argument(
        "--period",
        "--month",
        default="",
        metavar="PERIOD",
        help="period to score; default: each one after the version's training data that it has not scored, oldest first, and "
        "those whose rows were corrected (--month is an old name)",
    )
    parser.add_argument(
        "--model",
        default="",
        help="version or alias; default: the version that serves in production, or in staging if there is none",
    )
    parser.add_argument("--push", action="store_true", help="push the predictions to the store, period by period")


def main(options: argparse.Namespace) -> None:
    """Score what is due, or the period that is asked for, and print a line for each."""
    settings = params.load()
    if options.push:
        print(store.pull())
    version = serving(options.model)
    keep = push if options.push else lambda _: None
    if options.period:
        tell(asked(options.period, version, settings.engine, keep))
    else:
        tell(work_off(version, settings, keep, pushing=options.push))


def tell(sentence: str) -> None:
    """Print a sentence, and add it to the summary of the workflow run."""
    github.summary(sentence)
    print(f"batch: {sentence}", flush=True)


def asked(period: str, version: Version, engine: str, keep: Keep) -> str:
    """Score a period whatever was scored before, and return a sentence. Raise `Failure` if the source has no rows of it."""
    data = scorer.fetched(period)
    validate.inspect(period, engine, data)
    made = scorer.score(period, version, data, engine)
    keep(made)
    return described(made.about)


def work_off(version: Version, settings: Params, keep: Keep, *, pushing: bool) -> str:
    """Score the periods that are due, oldest first, and say so after each; return a sentence about what is left.

    Each period is kept before the next one begins, so that a run that is killed has lost at most one. Raise `Failure` for data
    that break their schema. Without `pushing` what is in reports/batch counts as scored, too.
    """
    since = version.data_until or settings.fetch.until
    later = [period for period in periods() if period > since]
    records = batch_records.read() + ([] if pushing else batch_records.read(workspace.BATCH))
    own = batch_records.of_version(records, version.number)
    made = 0
    for at, period in enumerate(later):
        known = own.get(period, [])
        if known and not reopens(known, settings.batch.reopen_days):
            continue
        if made == settings.batch.max_periods:
            return waiting([each for each in later[at:] if each not in own], settings.batch.max_periods)
        if record := due(period, version, known, settings.engine):
            keep(record)
            made += 1
            tell(described(record.about, again=bool(known)))
    if not later:
        return f"Nothing to score: the source has no period after {since}, until which version {version.number} was trained."
    rest = "nothing else" if made else "nothing"
    return f"There is {rest} to score: version {version.number} has scored what the source has after {since}, until {later[-1]}."


def due(period: str, version: Version, known: list[Scored], engine: str) -> Record | None:
    """Score a period unless its rows are those of a record in `known`, or there are none yet."""
    data = scorer.fetched(period)
    if known and files.digest(data) in {about.data for about in known}:
        return None
    validate.inspect(period, engine, data)
    if known and scorer.inputs(period, data, engine, version) in {about.inputs for about in known}:
        return None  # labels have arrived, or another period was corrected
    try:
        return scorer.score(period, version, data, engine)
    except scorer.NoRows:
        tell(f"{period} has no rows yet.")
        return None


def reopens(known: list[Scored], days: int) -> bool:
    """Return whether corrected rows of a period are scored again: for so many days since it was scored first.

    Records of earlier versions of this template do not know their rows.
    """
    first = datetime.fromisoformat(known[0].scored)
    return all(about.inputs for about in known) and datetime.now(UTC) - first <= timedelta(days=days)


def waiting(left: list[str], most: int) -> str:
    """Return a sentence about the periods that the next run goes on with."""
    if not left:
        return (
            f"{most} periods are as many as one run scores (batch.max_periods); the next run looks for corrected ones."
        )
    return f"{len(left)} more wait for the next run, from {left[0]} on (batch.max_periods is {most})."


def described(about: Scored, *, again: bool = False) -> str:
    """Return a sentence about a period that was scored."""
    why = " again, because its rows were corrected" if again else ""
    return f"{about.rows:,} rows of {about.month} scored with version {about.version}{why}; mean {about.mean:.4f}."


def serving(which: str) -> Version:
    """Return the version that is asked for, else the champion. Raise `Failure` if nothing serves yet."""
    if which:
        return registry.find(which)
    if version := registry.champion():
        return version
    raise Failure("no version serves yet; promote one first, or name one with --model")


def push(record: Record) -> None:
    """Push a record to the store, unless one of the same rows and version is there. Raise `Failure` if it is too large."""
    folder = record.folder
    large_files.refuse(folder.rglob("*"), f"run `delivery batch` without --push and copy {folder} to a bucket")
    to = workspace.BATCH_KEPT / batch_records.place(record.about)

    def copy() -> None:
        if not to.is_dir():
            with files.replacing(to) as scratch:
                shutil.copytree(folder, scratch)

    store.ready()
    copy()
    store.push(f"Predictions of {record.about.month} by version {record.about.version}", redo=copy)
