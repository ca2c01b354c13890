"""Verb `batch`: score a period with the model that serves, and keep the predictions with their origin."""

import argparse
import json
from collections.abc import Iterable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import msgspec
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from msgspec import Struct

from delivery.adapters import github, large_files, provenance, store
from delivery.compute import processes
from delivery.core import files, params, workspace
from delivery.core.errors import Failure
from delivery.data import tables, windows
from delivery.data.fetch import into
from delivery.data.windows import Window
from delivery.model import skopsfile
from delivery.pipeline import validate
from delivery.registry import registry
from delivery.registry.version import Version
from delivery.stats import task
from delivery.stats.predictions import PREDICTION, predictions, values
from problem import FEATURES, PERIOD, predict


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the verb."""
    parser.add_argument(
        "--period",
        "--month",
        default="",
        metavar="PERIOD",
        help="period to score; default: the one after fetch.until in params.yaml (--month is an old name)",
    )
    parser.add_argument(
        "--model",
        default="",
        help="version or alias; default: the version that serves in production, or in staging if there is none",
    )
    parser.add_argument("--push", action="store_true", help="push the predictions to the store")


class Scored(Struct, frozen=True):
    """What a batch has scored, with what, as about.json holds it."""

    month: str
    """Period that was scored."""
    version: str
    model: str
    """Digest of the exported model."""
    commit: str
    data: str
    """Digest of the raw data."""
    rows: int
    mean: float
    """Mean prediction."""
    scored: str
    """When it was scored, in UTC."""
    by: str


def main(options: argparse.Namespace) -> None:
    """Score the period, push the predictions if asked to, and print how many rows there were."""
    period = options.period or tables.following(params.load().fetch.until)
    scored = run(period, options.model, params.load().engine)
    if options.push:
        keep(workspace.BATCH / period)
    sentence = f"{scored.rows:,} rows of {period} scored with version {scored.version}; mean {scored.mean:.4f}."
    github.summary(sentence)
    print(f"batch: {sentence}")


def run(period: str, which: str, engine: str = "memory") -> Scored:
    """Validate and score a period, and write its predictions and about.json, both or neither.

    Raise `Failure` if the data are invalid or have no rows of the period, or if no version serves.
    """
    version = serving(which)
    data = workspace.CACHE / "drift" / period
    if not data.is_dir():
        into(data, period)
    validate.inspect(period, engine, data)
    folder = registry.download(version, workspace.CACHE / "versions" / version.number)
    cut = [window for window in windows.cut(period, engine, data) if window.periods[-1] == period]
    parts = processes.each(partial(scores, period=period, model=folder / "model.skops"), cut, engine)
    with files.replacing(workspace.BATCH / period) as scratch:
        scratch.mkdir()
        rows, mean = write(parts, scratch / "predictions.parquet")
        if not rows:
            raise Failure(f"the source has no rows of {period}")
        scored = Scored(
            month=period,
            version=version.number,
            model=version.digest,
            commit=version.commit,
            data=files.digest(data),
            rows=rows,
            mean=mean,
            scored=provenance.now(),
            by=provenance.executor(),
        )
        about = files.rounded(msgspec.to_builtins(scored))
        (scratch / "about.json").write_text(json.dumps(about, indent=1) + "\n")
    return scored


def scores(window: Window, period: str, model: Path) -> pd.DataFrame | None:
    """Return the predictions for the window's rows of this period, or None if it has none.

    The features do not leave the process that computes them.
    """
    examples = windows.features(window)
    rows = examples[examples[PERIOD] == period]
    return predictions(rows, predict(skopsfile.load(model), rows[list(FEATURES)])) if len(rows) else None


def write(parts: Iterable[pd.DataFrame | None], path: Path) -> tuple[int, float]:
    """Write one part after the other; return the number of rows and the mean prediction."""
    rows, total = 0, 0.0
    with ExitStack() as stack:
        for part in parts:
            if part is None:
                continue
            table = pa.Table.from_pandas(part, preserve_index=False)
            if not rows:
                writer = stack.enter_context(pq.ParquetWriter(path, table.schema))
            writer.write_table(table)
            rows += len(part)
            total += float(task.plain(values(part[PREDICTION])).sum())
    return rows, total / max(rows, 1)


def serving(which: str) -> Version:
    """Return the version that is asked for, else the champion. Raise `Failure` if nothing serves yet."""
    if which:
        return registry.find(which)
    if version := registry.champion():
        return version
    raise Failure("no version serves yet; promote one first, or name one with --model")


def keep(folder: Path) -> None:
    """Push the predictions to the store, one folder per period; a later run of the same period replaces it.

    Raise `Failure` if a file is too large for the store.
    """
    import shutil

    large_files.refuse(folder.rglob("*"), f"run `delivery batch` without --push and copy {folder} to a bucket")

    def copy() -> None:
        shutil.copytree(folder, workspace.STORE / "batch" / folder.name, dirs_exist_ok=True)

    copy()
    store.push(f"Predictions of {folder.name}", redo=copy)
