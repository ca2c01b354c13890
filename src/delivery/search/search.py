"""Verb `search`: other settings of `train`, tried on training rows only, and the winner as a pull request.

Each of the newest `search.folds` training periods is predicted by a model of the periods before it. Settings are drawn
at random, so that no trial waits for another one; each is kept in a journal as it ends, and a search that was killed
goes on with those that are missing.
"""

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

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
from delivery.search.verdict import judge, page
from problem import KEY, PERIOD, Train


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--propose",
        action="store_true",
        help="the winner, if there is one, as a pull request; without a token of GitHub its commands are printed",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def main(options: argparse.Namespace) -> None:
    settings = params.load()
    result = run(settings)
    files.write_json(workspace.SEARCH, result)
    print(json.dumps(files.rounded(result), indent=1) if options.json else page(result))
    if options.propose and result["better"]:
        said = propose(result)
        github.summary(said)
        print(f"search: {said}")


def run(settings: Params) -> dict[str, Any]:
    """Tries what is not in the journal yet, and judges. Raises Failure when the present settings cannot be trained."""
    rows = training(settings)
    folds = periods(rows, settings.search.folds)
    judged = rows[rows[PERIOD].isin(folds)]
    planned = candidates(settings)
    search = key(folds)
    journal = workspace.SEARCH_JOURNALS / f"{search}.jsonl"
    known = {trial.train: trial for trial in read(journal)}
    client = registry.connect()
    recorded = on_record(client, search)
    left = [train for train in planned if train not in known]
    for train in planned:
        if train in known and digest(train) not in recorded:  # killed between the journal and the record
            record(client, search, known[train], len(judged), settings)
    if len(left) < len(planned):
        print(f"search: {len(planned) - len(left)} of {len(planned)} trials are in {journal}", file=sys.stderr)
    began = time.monotonic()
    for new, trial in enumerate(tried(left, folds, settings), start=1):
        if trial.failed and trial.train == settings.train:
            raise Failure(f"the present settings cannot be trained: {trial.failed}")
        keep(journal, trial)
        known[trial.train] = trial
        if digest(trial.train) not in recorded:
            record(client, search, trial, len(judged), settings)
        done = [known[train] for train in planned if train in known]
        told(done, len(planned), (len(left) - new) * (time.monotonic() - began) / new, settings)
    return judge([known[train] for train in planned], judged, settings) | {"folds": folds}


def tried(planned: Sequence[Train], folds: Sequence[str], settings: Params) -> Iterator[Trial]:
    """The trials, in the order in which they end."""
    work = partial(attempt, source=workspace.PREPARED / "train.parquet", folds=folds, settings=settings)
    for _, trial in engine.as_done(work, planned, settings.engine):
        yield trial


def training(settings: Params) -> pd.DataFrame:
    """The rows that may be tuned on. Raises Failure when one of them is, or is to be, one of the gate's test rows.

    Of the test rows themselves nothing but key and period is read.
    """
    rows = prepared.read("train")
    tested = pd.read_parquet(workspace.PREPARED / "test.parquet", columns=list(dict.fromkeys([*KEY, PERIOD])))
    there = sorted({*rows[PERIOD], *tested[PERIOD]})
    newest = [period for period in there if period <= settings.fetch.until][-settings.prepare.test_periods :]
    late = rows[PERIOD] >= min(newest, default="")
    shared = pd.MultiIndex.from_frame(rows[list(KEY)]).isin(pd.MultiIndex.from_frame(tested[list(KEY)]))
    if leaked := int((late | shared).sum()):
        raise Failure(
            f"{leaked:,} of the rows to tune on are the gate's test rows; run `dvc repro`, and look at prepare"
        )
    return rows


def periods(rows: pd.DataFrame, folds: int) -> list[str]:
    """The periods that are predicted, oldest first: the newest ones, each with another one before it."""
    there = sorted(rows[PERIOD].unique())
    if len(there) <= folds:
        raise Failure(
            f"search.folds is {folds} and there are {len(there)} periods to train on: none is left before the first; "
            "lower it or fetch more"
        )
    return there[-folds:]


def key(folds: Sequence[str]) -> str:
    """What a trial depends on beside its settings: rows, the problem's code, versions of libraries."""
    code = sorted(Path(str(problem.__file__)).parent.glob("*.py"))
    parts = [
        *folds,
        *map(files.digest, [workspace.PREPARED / "train.parquet", *code, Path("requirements/pipeline.txt")]),
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def told(done: Sequence[Trial], count: int, left: float, settings: Params) -> None:
    """How far the search is, which settings are the best so far, and the seconds that are left."""
    best = min((trial for trial in done if not trial.failed), key=lambda trial: sum(trial.sums), default=None)
    good = f"best {words(best.train, settings)}, " if best else ""
    print(f"  trial {len(done)} of {count}: {good}{left:.0f} s to go", file=sys.stderr, flush=True)
