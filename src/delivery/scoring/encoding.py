"""Encode whole columns for the model, as `runtime.encoder` encodes rows."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from delivery.core.errors import Failure
from delivery.core.manifest import Manifest
from delivery.model import runtime

Matrix = NDArray[np.floating[Any]]


def encoder(manifest: Manifest, dtype: type) -> Callable[[pa.RecordBatch], Matrix]:
    """Return what encodes a batch as runtime.encoder encodes tuples: shape (n, columns), missing and unknown as NaN."""

    def encode(batch: pa.RecordBatch) -> Matrix:
        out = np.empty((batch.num_rows, len(manifest.columns)), dtype)
        for number, name in enumerate(manifest.columns):
            column, codes = batch.column(name), manifest.categories.get(name)
            out[:, number] = numbers(column, name) if codes is None else coded(column, codes)
        return out

    return encode


def numbers(column: pa.Array, name: str) -> Matrix:
    """Return a column of numbers as an array, with NaN for missing values. Raise `Failure` if it holds anything else."""
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        raise Failure(f"{name} is {column.type}, expected numbers")
    return np.asarray(column.to_numpy(zero_copy_only=False))


def coded(column: pa.Array, codes: Mapping[str, float]) -> Matrix:
    """Return the code of each value, NaN for unknown ones; each distinct value is looked up once."""
    if not pa.types.is_dictionary(column.type):
        column = pc.dictionary_encode(column)
    table = np.array([codes.get(value, runtime.NAN) for value in column.dictionary.to_pylist()] + [runtime.NAN])
    return np.asarray(table[column.indices.fill_null(len(table) - 1).to_numpy(zero_copy_only=False)])
