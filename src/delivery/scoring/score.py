"""Verb `score`: score any number of rows of features in parquet with the exported model, in the memory of one batch.

Each row group of the source becomes one file of the result, complete or absent. So a run that was killed resumes with
the next one, and no row is lost or scored twice.
"""

import argparse
import hashlib
import itertools
import os
import time
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from msgspec import Struct

from delivery.compute import engine
from delivery.core import files, params, workspace
from delivery.core.errors import Failure
from delivery.core.progress import progress
from delivery.model import runtime
from delivery.model.runtime import Model
from delivery.registry import registry
from delivery.scoring import encoding
from delivery.scoring.encoding import Matrix
from delivery.stats.predictions import PREDICTION
from problem import KEY

BATCH = 1 << 16  # rows in memory at once
PLAN, ABOUT = "plan.json", "about.json"
FOOTER = 8  # last bytes of a parquet file: the length of its footer, and its magic number


class Piece(NamedTuple):
    """One row group of the source."""

    file: Path
    group: int
    rows: int
    part: str  # file of the result


class Scored(Struct, frozen=True):
    """What is in the result, and what this run has added."""

    rows: int
    parts: int
    new_rows: int
    seconds: float


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the verb."""
    parser.add_argument("source", type=Path, help="parquet file, or a folder of them, with keys and features")
    parser.add_argument(
        "result", type=Path, help="folder for the scores: keys and prediction, in the order of the source"
    )
    parser.add_argument("--model", default="", help="version or alias; default: the model on disk")


def main(options: argparse.Namespace) -> None:
    """Score the rows and print how many there are, and how fast it was."""
    scored = run(options.source, options.result, model_of(options.model), params.load().engine)
    speed = f", {scored.new_rows / scored.seconds:,.0f} a second" if scored.new_rows else ""
    print(f"score: {scored.rows:,} rows are in {options.result}, {scored.new_rows:,} of them new{speed}")


def model_of(which: str) -> Path:
    """Return the folder of the exported model: of a version or alias, or the one on disk."""
    if not which:
        return workspace.EXPORT
    version = registry.find(which)
    return registry.download(version, workspace.CACHE / "versions" / version.number) / "export"


def run(source: Path, result: Path, folder: Path, kind: str = "memory") -> Scored:
    """Score what is not scored yet, with the engine of this kind.

    Raise `Failure` if `result` holds the scores of another source or model, or if the model was not exported to ONNX.
    """
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
        for _ in engine.as_done(partial(scored_to, result, folder), todo, kind):
            pass
    seconds = time.monotonic() - began
    finish(result, pieces)
    rows = sum(piece.rows for piece in pieces)
    return Scored(rows, len(pieces), sum(piece.rows for piece in todo), seconds)


def cut(source: Path) -> Iterator[Piece]:
    """Yield the row groups of the source, in order. Raise `Failure` if there are none or a file is not parquet."""
    sources = sorted(source.glob("*.parquet")) if source.is_dir() else [source]
    number = 0
    for file in sources:
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
    """Return the size of a parquet file, and the digest of its footer.

    The footer holds position and range of every column of every row group, so another content has another footer.
    """
    with file.open("rb") as stream:
        size = stream.seek(-FOOTER, os.SEEK_END) + FOOTER
        length = int.from_bytes(stream.read(4), "little")
        stream.seek(-min(size, FOOTER + length), os.SEEK_END)
        return f"{size} {hashlib.sha256(stream.read()).hexdigest()}"


def scored_to(result: Path, folder: Path, piece: Piece) -> None:
    """Score one piece with the model in the folder."""
    score(piece, loaded(folder, (folder / workspace.MANIFEST).stat().st_mtime_ns), result / piece.part)


@lru_cache(1)
def loaded(folder: Path, _: int) -> Model:
    """Return the model in the folder, loaded once per process as long as its manifest is not written again."""
    return runtime.load(folder)


def score(piece: Piece, model: Model, to: Path) -> None:
    """Write keys and scores of one row group, a batch at a time."""
    encode = encoding.encoder(model.manifest, model.dtype)
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


def scored(batch: pa.RecordBatch, model: Model, encode: Callable[[pa.RecordBatch], Matrix]) -> pa.RecordBatch:
    """Return keys and scores of a batch."""
    assert model.matrix is not None
    return batch.select(list(KEY)).append_column(PREDICTION, as_column(model.matrix(encode(batch))))


def as_column(scores: Matrix) -> pa.Array:
    """Return scores of shape (n,) as numbers, of shape (n, classes) as lists of numbers."""
    if scores.ndim == 1:
        return pa.array(scores)
    return pa.FixedSizeListArray.from_arrays(pa.array(scores.ravel()), scores.shape[1])


def finish(result: Path, pieces: Sequence[Piece]) -> None:
    """Write how many rows there are. Raise `Failure` if a part does not have the rows of its piece, or is of no piece."""
    for piece in pieces:
        if pq.read_metadata(result / piece.part).num_rows != piece.rows:
            raise Failure(f"{result / piece.part} does not have the rows of its source; delete it and run this again")
    if extra := {path.name for path in result.glob("*.parquet")} - {piece.part for piece in pieces}:
        raise Failure(f"{result} also holds {', '.join(sorted(extra)[:3])}, which is not of this source; remove it")
    files.write_json(result / ABOUT, {"rows": sum(piece.rows for piece in pieces), "parts": len(pieces)})
