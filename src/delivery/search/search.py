"""Verb `search`: try other settings of `train` on training rows only, and propose the winner in a pull request.

Each of the newest `search.folds` training periods is predicted by a model of the periods before it. Settings are drawn
at random, so that no trial waits for another one. Each is written to a journal as it ends, and a search that was killed
resumes with those that are missing.
"""

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import msgspec
import pandas as pd
from msgspec.structs import replace

import problem
from delivery.adapters import github
from delivery.compute import engine
from delivery.core import files, params, workspace
from delivery.core.errors import Failure
from delivery.core.params import Params
from delivery.data import prepared
from delivery.registry import registry
from delivery.search.propose import propose
from delivery.search.record import digest, on_record, record, words
from delivery.search.space import candidates
from delivery.search.trials import Trial, attempt, keep, read
from delivery.search.verdict import SearchResult, judge, page
from problem import KEY, PERIOD, Train


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the verb."""
    parser.add_argument(
        "--propose",
        action="store_true",
        help="open a pull request for the winner, if there is one; without a GitHub token, print the commands",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def main(options: argparse.Namespace) -> None:
    """Search, write and print the result, and propose the winner if asked to."""
    settings = params.load()
    result = run(settings)
    document = msgspec.to_builtins(result)
    files.write_json(workspace.SEARCH, document)
    print(json.dumps(files.rounded(document), indent=1) if options.json else page(result))
    if options.propose and result.better:
        outcome = propose(result)
        github.summary(outcome)
        print(f"search: {outcome}")


def run(settings: Params) -> SearchResult:
    """Try what is not in the journal yet, and judge. Raise `Failure` if the present settings cannot be trained."""
    rows = training(settings)
    folds = periods(rows, settings.search.folds)
    judged = rows[rows[PERIOD].isin(folds)]
    planned = candidates(settings)
    search = key(folds)
    journal = workspace.SEARCH_JOURNALS / f"{search}.jsonl"
    known = {trial.train: trial for trial in read(journal)}
    with registry.connection():
        recorded = on_record(search)
        left = [train for train in planned if train not in known]
        for train in planned:
            if train in known and digest(train) not in recorded:  # killed between the journal and the record
                record(search, known[train], len(judged), settings)
        if len(left) < len(planned):
            print(f"search: {len(planned) - len(left)} of {len(planned)} trials are in {journal}", file=sys.stderr)
        began = time.monotonic()
        for new, trial in enumerate(tried(left, folds, settings), start=1):
            if trial.failed and trial.train == settings.train:
                raise Failure(f"the present settings cannot be trained: {trial.failed}")
            keep(journal, trial)
            known[trial.train] = trial
            if digest(trial.train) not in recorded:
                record(search, trial, len(judged), settings)
            done = [known[train] for train in planned if train in known]
            print_progress(done, len(planned), (len(left) - new) * (time.monotonic() - began) / new, settings)
    return replace(judge([known[train] for train in planned], judged, settings), folds=tuple(folds))


def tried(planned: Sequence[Train], folds: Sequence[str], settings: Params) -> Iterator[Trial]:
    """Yield the trials in the order in which they end."""
    work = partial(attempt, source=workspace.PREPARED / "train.parquet", folds=folds, settings=settings)
    for _, trial in engine.as_done(work, planned, settings.engine):
        yield trial


def training(settings: Params) -> pd.DataFrame:
    """Return the rows to tune on. Raise `Failure` if one of them is, or will be, one of the gate's test rows.

    Only key and period of the test rows are read.
    """
    rows = prepared.read("train")
    tested = pd.read_parquet(workspace.PREPARED / "test.parquet", columns=list(dict.fromkeys([*KEY, PERIOD])))
    available = sorted({*rows[PERIOD], *tested[PERIOD]})
    newest = [period for period in available if period <= settings.fetch.until][-settings.prepare.test_periods :]
    late = rows[PERIOD] >= min(newest, default="")
    shared = pd.MultiIndex.from_frame(rows[list(KEY)]).isin(pd.MultiIndex.from_frame(tested[list(KEY)]))
    if leaked := int((late | shared).sum()):
        raise Failure(f"{leaked:,} of the rows to tune on are the gate's test rows; run `dvc repro`, and check prepare")
    return rows


def periods(rows: pd.DataFrame, folds: int) -> list[str]:
    """Return the newest `folds` periods, which are predicted. Raise `Failure` if no period is left before them."""
    available = sorted(rows[PERIOD].unique())
    if len(available) <= folds:
        raise Failure(
            f"search.folds is {folds} and there are {len(available)} periods to train on: none is left before the first; "
            "lower it or fetch more"
        )
    return available[-folds:]


def key(folds: Sequence[str]) -> str:
    """Return the digest of what a trial depends on besides its settings: rows, the problem's code, library versions."""
    code = sorted(Path(str(problem.__file__)).parent.glob("*.py"))
    parts = [
        *folds,
        *map(files.digest, [workspace.PREPARED / "train.parquet", *code, Path("requirements/pipeline.txt")]),
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def print_progress(done: Sequence[Trial], count: int, left: float, settings: Params) -> None:
    """Print how many trials have ended, the best settings so far, and the seconds that are left."""
    best = min((trial for trial in done if not trial.failed), key=lambda trial: sum(trial.sums), default=None)
    good = f"best {words(best.train, settings)}, " if best else ""
    print(f"  trial {len(done)} of {count}: {good}{left:.0f} s to go", file=sys.stderr, flush=True)
