"""Score one period with one version, and tell whether its rows have changed since it was scored."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from delivery.adapters import batch_records, provenance
from delivery.adapters.batch_records import Record, Scored
from delivery.compute import processes
from delivery.core import files, workspace
from delivery.core.errors import Failure
from delivery.data import windows
from delivery.data.fetch import into
from delivery.data.windows import Window
from delivery.model import skopsfile
from delivery.registry import own_code, registry
from delivery.registry.version import Version
from delivery.stats import task
from delivery.stats.predictions import PREDICTION, predictions, values
from problem import FEATURES, KEY, PERIOD, predict


class NoRows(Failure):
    """A period that the source names, and has no rows of."""


class Part(NamedTuple):
    """The rows of a period in one window: their digests, shape (rows,), and their predictions if they are asked for."""

    hashes: np.ndarray
    predictions: pd.DataFrame | None = None


def fetched(period: str) -> Path:
    """Return the folder of the data until the period, fetched again: what was fetched before may be old."""
    folder = workspace.CACHE / "drift" / period
    into(folder, period)
    return folder


def score(period: str, version: Version, data: Path, engine: str = "memory") -> Record:
    """Score the rows of the period, and write predictions.parquet and about.json to reports/batch, both or neither.

    `data`: folder of valid data until the period. Raise `NoRows`, and write nothing, if it has no rows of the period.
    """
    folder = registry.download(version, workspace.CACHE / "versions" / version.number)
    to = workspace.BATCH / period / version.number
    with files.replacing(to) as scratch:
        scratch.mkdir()
        written = write(scored(period, version, folder, data, engine), scratch / batch_records.PREDICTIONS)
        if not written.rows:
            raise NoRows(f"the source has no rows of {period}")
        about = Scored(
            month=period,
            version=version.number,
            model=version.digest,
            commit=version.commit,
            data=files.digest(data),
            rows=written.rows,
            mean=written.mean,
            scored=provenance.now(),
            by=provenance.executor(),
            inputs=written.inputs,
        )
        text = json.dumps(files.rounded(msgspec.to_builtins(about)), indent=1) + "\n"
        (scratch / batch_records.ABOUT).write_text(text)
    return Record(to, about)


def scored(period: str, version: Version, folder: Path, data: Path, engine: str) -> Iterable[Part]:
    """Return the period's rows and predictions; where the version's code is another one, it computes the features."""
    if code := own_code.of_version(version, folder):
        return [by_own_code(code, period, version, folder, data, engine)]
    work = partial(part, period=period, model=folder / workspace.MODEL.name)
    return processes.each(work, cut(period, data, engine), engine)


def by_own_code(code: Path, period: str, version: Version, folder: Path, data: Path, engine: str) -> Part:
    """Return the period's rows and predictions by the version's own code. Raise `Failure` if it cannot be run on the data."""
    who = f"version {version.number}"
    found = own_code.predictions(code, folder / workspace.MODEL.name, data, period, engine, only=[period], who=who)
    return Part(found.pop("hash").to_numpy(np.uint64), found)


def inputs(period: str, data: Path, engine: str = "memory", version: Version | None = None) -> str:
    """Return the digest of the keys and features that `score` would score with the version (default: with today's code)."""
    if version:
        folder = registry.download(version, workspace.CACHE / "versions" / version.number)
        if code := own_code.of_version(version, folder):
            return together([by_own_code(code, period, version, folder, data, engine).hashes])
    found = processes.each(partial(part, period=period), cut(period, data, engine), engine)
    return together(each.hashes for each in found)


def cut(period: str, data: Path, engine: str) -> Iterator[Window]:
    """Yield the windows that hold rows of the period."""
    return (window for window in windows.cut(period, engine, data) if window.periods[-1] == period)


def part(window: Window, period: str, model: Path | None = None) -> Part:
    """Return the window's rows of this period as digests and, with a model, as predictions.

    The features do not leave the process that computes them.
    """
    examples = windows.features(window)
    rows = examples[examples[PERIOD] == period]
    hashes = pd.util.hash_pandas_object(rows[list(dict.fromkeys([*KEY, *FEATURES]))], index=False).to_numpy()
    if model is None or rows.empty:
        return Part(hashes)
    return Part(hashes, predictions(rows, predict(skopsfile.load(model), rows[list(FEATURES)])))


def together(hashes: Iterable[np.ndarray]) -> str:
    """Return one digest of all rows, whatever their order."""
    return hashlib.sha256(np.sort(np.concatenate([*hashes, np.array([], np.uint64)])).tobytes()).hexdigest()


class Written(NamedTuple):
    """What the predictions of a period are, together."""

    rows: int
    mean: float
    inputs: str


def write(parts: Iterable[Part], path: Path) -> Written:
    """Write the predictions of one part after the other; return their number, their mean and the digest of their rows."""
    rows, total, hashes = 0, 0.0, list[np.ndarray]()
    with ExitStack() as stack:
        for each in parts:
            if each.predictions is None or each.predictions.empty:
                continue
            table = pa.Table.from_pandas(each.predictions, preserve_index=False)
            if not rows:
                writer = stack.enter_context(pq.ParquetWriter(path, table.schema))
            writer.write_table(table)
            hashes.append(each.hashes)
            rows += len(each.predictions)
            total += float(task.plain(values(each.predictions[PREDICTION])).sum())
    return Written(rows, total / max(rows, 1), together(hashes))
