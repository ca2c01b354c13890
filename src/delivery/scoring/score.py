"""Verb `score`: rows of features in parquet, however many, with the exported model, in the memory of one batch.

Each row group of the source becomes one file of the result, written whole or not at all, so that a run that was
killed goes on with the next one, and no row is lost or doubled.
"""

import argparse
import hashlib
import itertools
import os
import time
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from delivery.compute import engine
from delivery.core import files, params, workspace
from delivery.core.errors import Failure
from delivery.core.progress import progress
from delivery.model import runtime
from delivery.model.runtime import Manifest, Model
from delivery.registry import registry
from delivery.stats.predictions import PREDICTION
from problem import KEY

BATCH = 1 << 16  # rows in memory at once
PLAN, ABOUT = "plan.json", "about.json"
FOOTER = 8  # the last bytes of a parquet file: the length of its footer, and its mark


class Piece(NamedTuple):
    """One row group of the source."""

    file: Path
    group: int
    rows: int
    part: str  # the file of the result


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", type=Path, help="a parquet file, or a folder of them, with keys and features")
    parser.add_argument("result", type=Path, help="a folder for the scores: keys and prediction, in the source's order")
    parser.add_argument("--model", default="", help="version or alias; without it the model on disk")


def main(options: argparse.Namespace) -> None:
    about = run(options.source, options.result, model_of(options.model), params.load().engine)
    speed = f", {about['rows_scored'] / about['seconds']:,.0f} a second" if about["rows_scored"] else ""
    print(f"score: {about['rows']:,} rows are in {options.result}, {about['rows_scored']:,} of them new{speed}")


def model_of(which: str) -> Path:
    """The exported model's folder."""
    if not which:
        return workspace.EXPORT
    client = registry.connect()
    version = registry.find(client, which)
    return registry.download(client, version, workspace.CACHE / "versions" / str(version.version)) / "export"


def run(source: Path, result: Path, folder: Path, where: str = "memory") -> dict:
    """Scores what is not scored yet. Raises Failure when `result` holds the scores of another source or model."""
    model = runtime.load(folder)
    if model.matrix is None:
        raise Failure("export.runtime is sklearn: only a model that was exported to ONNX scores in bulk")
    pieces = list(cut(source))
    plan = {
        "model": model.manifest.sha256,
        "source": [[file.name, fingerprint(file)] for file in dict.fromkeys(piece.file for piece in pieces)],
    }
    if not (result / PLAN).exists():
        if result.exists() and any(result.iterdir()):
            raise Failure(f"{result} is not empty and holds no scores; name another folder")
        files.write_json(result / PLAN, plan)
    elif files.read_json(result / PLAN, "score") != plan:
        raise Failure(f"{result} holds the scores of another model or source; name another folder, or delete it")
    todo = [piece for piece in pieces if not (result / piece.part).exists()]
    began = time.monotonic()
    with progress(f"scoring {sum(piece.rows for piece in todo):,} rows"):
        for _ in engine.as_done(partial(scored_to, result, folder), todo, where):
            pass
    seconds = time.monotonic() - began
    return finish(result, pieces) | {"rows_scored": sum(piece.rows for piece in todo), "seconds": seconds}


def cut(source: Path) -> Iterator[Piece]:
    """The row groups of the source, in order. Raises Failure when there are none or a file is no parquet."""
    found = sorted(source.glob("*.parquet")) if source.is_dir() else [source]
    number = 0
    for file in found:
        try:
            about = pq.read_metadata(file)
        except (OSError, ValueError) as error:
            raise Failure(f"{file} cannot be read: {str(error).splitlines()[0]}") from None
        for group in range(about.num_row_groups):
            if rows := about.row_group(group).num_rows:
                yield Piece(file, group, rows, f"part-{number:06}.parquet")
                number += 1
    if not number:
        raise Failure(f"{source} holds no rows")


def fingerprint(file: Path) -> str:
    """Of a parquet file's size and footer, which has the place and the range of every column of every row group."""
    with file.open("rb") as stream:
        size = stream.seek(-FOOTER, os.SEEK_END) + FOOTER
        length = int.from_bytes(stream.read(4), "little")
        stream.seek(-min(size, FOOTER + length), os.SEEK_END)
        return f"{size} {hashlib.sha256(stream.read()).hexdigest()}"


def scored_to(result: Path, folder: Path, piece: Piece) -> None:
    """One piece, by the model in the folder."""
    score(piece, loaded(folder, (folder / workspace.MANIFEST).stat().st_mtime_ns), result / piece.part)


@lru_cache(1)
def loaded(folder: Path, _: int) -> Model:
    return runtime.load(folder)


def score(piece: Piece, model: Model, to: Path) -> None:
    """Keys and scores of one row group, a batch at a time."""
    encode = encoder(model.manifest, model.dtype)
    columns = list(dict.fromkeys([*KEY, *model.manifest.columns]))
    with pq.ParquetFile(piece.file, read_dictionary=list(model.manifest.categories)) as file:
        if absent := sorted(set(columns) - set(file.schema_arrow.names)):
            raise Failure(f"{piece.file} lacks {', '.join(absent)}")
        with files.replacing(to) as scratch:
            batches = (
                scored(batch, model, encode) for batch in file.iter_batches(BATCH, [piece.group], columns, False)
            )
            first = next(batches)
            with pq.ParquetWriter(scratch, first.schema) as writer:
                for rows in itertools.chain([first], batches):
                    writer.write_batch(rows)


def scored(batch: pa.RecordBatch, model: Model, encode: Callable[[pa.RecordBatch], np.ndarray]) -> pa.RecordBatch:
    assert model.matrix is not None
    return batch.select(list(KEY)).append_column(PREDICTION, as_column(model.matrix(encode(batch))))


def as_column(scores: np.ndarray) -> pa.Array:
    """A number, or a list of them for several classes, in each row."""
    if scores.ndim == 1:
        return pa.array(scores)
    return pa.FixedSizeListArray.from_arrays(pa.array(scores.ravel()), scores.shape[1])


def encoder(manifest: Manifest, dtype: type) -> Callable[[pa.RecordBatch], np.ndarray]:
    """What runtime.encoder does to tuples, to whole columns: (n, columns), missing and unknown as NaN."""

    def encode(batch: pa.RecordBatch) -> np.ndarray:
        out = np.empty((batch.num_rows, len(manifest.columns)), dtype)
        for place, name in enumerate(manifest.columns):
            column, codes = batch.column(name), manifest.categories.get(name)
            out[:, place] = numbers(column, name) if codes is None else coded(column, codes)
        return out

    return encode


def numbers(column: pa.Array, name: str) -> np.ndarray:
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        raise Failure(f"{name} is {column.type}, expected numbers")
    return column.to_numpy(zero_copy_only=False)


def coded(column: pa.Array, codes: dict[str, float]) -> np.ndarray:
    """Each distinct value is looked up once."""
    if not pa.types.is_dictionary(column.type):
        column = pc.dictionary_encode(column)
    table = np.array([codes.get(value, runtime.NAN) for value in column.dictionary.to_pylist()] + [runtime.NAN])
    return table[column.indices.fill_null(len(table) - 1).to_numpy(zero_copy_only=False)]


def finish(result: Path, pieces: list[Piece]) -> dict:
    """Counts what was written. Raises Failure when a part has another number of rows than its piece."""
    for piece in pieces:
        if pq.read_metadata(result / piece.part).num_rows != piece.rows:
            raise Failure(f"{result / piece.part} has not the rows of its source; delete it and run this again")
    if extra := {path.name for path in result.glob("*.parquet")} - {piece.part for piece in pieces}:
        raise Failure(f"{result} also holds {', '.join(sorted(extra)[:3])}, which is not of this source; remove it")
    about = {"rows": sum(piece.rows for piece in pieces), "parts": len(pieces)}
    files.write_json(result / ABOUT, about)
    return about
