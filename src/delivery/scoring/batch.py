"""Verb `batch`: a month scored with the model that serves; the predictions are kept with what made them."""

import argparse
import json
from collections.abc import Iterable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from delivery.adapters import github, provenance, store
from delivery.compute import processes
from delivery.core import files, params, workspace
from delivery.core.errors import Failure
from delivery.data import tables, windows
from delivery.data.fetch import into
from delivery.data.windows import Window
from delivery.model import skopsfile
from delivery.pipeline import validate
from delivery.registry import registry
from delivery.stats import task
from delivery.stats.predictions import PREDICTION, predictions, values
from problem import FEATURES, PERIOD, predict


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--month", default="", metavar="PERIOD", help="without it the month after fetch.until")
    parser.add_argument("--model", default="", help="version or alias; without it what production serves, else staging")
    parser.add_argument("--push", action="store_true", help="keep the predictions in the store as well")


def main(options: argparse.Namespace) -> None:
    month = options.month or tables.following(params.load().fetch.until)
    about = run(month, options.model, params.load().engine)
    if options.push:
        keep(workspace.BATCH / month)
    said = f"{about['rows']:,} rows of {month} scored with version {about['version']}; mean {about['mean']:.4f}."
    github.summary(said)
    print(f"batch: {said}")


def run(month: str, which: str, engine: str = "memory") -> dict:
    """Validates, scores and writes predictions and about.json, whole or not at all. Nothing is scored on broken data."""
    version = serving(which)
    data = workspace.CACHE / "drift" / month
    if not data.is_dir():
        into(data, month)
    validate.inspect(month, engine, data)
    folder = registry.download(registry.connect(), version, workspace.CACHE / "versions" / str(version.version))
    cut = [window for window in windows.cut(month, engine, data) if window.periods[-1] == month]
    parts = processes.each(partial(scores, month=month, model=folder / "model.skops"), cut, engine)
    with files.replacing(workspace.BATCH / month) as scratch:
        scratch.mkdir()
        rows, mean = write(parts, scratch / "predictions.parquet")
        if not rows:
            raise Failure(f"the source has no rows of {month}")
        about = {
            "month": month,
            "version": str(version.version),
            "model": version.tags[registry.DIGEST],
            "commit": version.tags.get("git.commit", ""),
            "data": files.digest(data),
            "rows": rows,
            "mean": mean,
            "scored": provenance.now(),
            "by": provenance.executor(),
        }
        about = files.rounded(about)
        (scratch / "about.json").write_text(json.dumps(about, indent=1) + "\n")
    return about


def scores(window: Window, month: str, model: Path) -> pd.DataFrame | None:
    """Of the window's rows of this month, if it has any; their features stay where they are made."""
    examples = windows.features(window)
    rows = examples[examples[PERIOD] == month]
    return predictions(rows, predict(skopsfile.load(model), rows[list(FEATURES)])) if len(rows) else None


def write(parts: Iterable[pd.DataFrame | None], path: Path) -> tuple[int, float]:
    """One part after the other; how many rows there were, and the mean of what is predicted."""
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


def serving(which: str):
    """The version that is asked for, else the champion. Raises Failure when nothing serves yet."""
    client = registry.connect()
    if which:
        return registry.find(client, which)
    if version := registry.champion(client):
        return version
    raise Failure("no version serves yet; promote one first, or name one with --model")


def keep(folder: Path) -> None:
    """To the store, a folder for each month: a later run of the same month replaces it."""
    import shutil

    def copy() -> None:
        shutil.copytree(folder, workspace.STORE / "batch" / folder.name, dirs_exist_ok=True)

    copy()
    store.push(f"Predictions of {folder.name}", redo=copy)
