"""Tell rounding from another result: the same computation on another processor may differ in the last digits."""

import json
import math
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

RELATIVE, ABSOLUTE = 1e-6, 1e-9
DIGESTS = "sha256"  # key of a digest in JSON: the file that it belongs to is compared itself


def alike(one: Path, other: Path) -> bool:
    """Return whether two files, or two folders with the same names in them, are the same up to rounding."""
    if one.is_dir() and other.is_dir():
        names = [{path.relative_to(folder) for path in folder.rglob("*") if path.is_file()} for folder in (one, other)]
        return names[0] == names[1] and all(alike(one / name, other / name) for name in names[0])
    if not (one.is_file() and other.is_file()):
        return False
    if one.read_bytes() == other.read_bytes():
        return True
    readers = {".json": _json, ".parquet": _parquet, ".onnx": _onnx, ".skops": _skops}
    if not (read := readers.get(one.suffix)):
        return False
    try:
        return same(read(one), read(other))
    except Exception:  # what was forged may not even be readable
        return False


def same(one: Any, other: Any) -> bool:
    """Return whether two values are the same, with numbers as close as rounding brings them."""
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return _same_arrays(one, other)
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return math.isclose(one, other, rel_tol=RELATIVE, abs_tol=ABSOLUTE) or (math.isnan(one) and math.isnan(other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(name == DIGESTS or same(one[name], other[name]) for name in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def _same_arrays(one: np.ndarray, other: np.ndarray) -> bool:
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    if one.dtype.names:
        return all(_same_arrays(one[name], other[name]) for name in one.dtype.names)
    if one.dtype.kind in "fc":
        return bool(np.allclose(one, other, rtol=RELATIVE, atol=ABSOLUTE, equal_nan=True))
    if one.dtype == object:
        return same(one.tolist(), other.tolist())
    return np.array_equal(one, other)


def _json(path: Path) -> Any:
    return json.loads(path.read_bytes())


def _parquet(path: Path) -> Any:
    import pandas as pd

    rows = pd.read_parquet(path)
    return [(name, rows[name].to_numpy()) for name in rows]


def _skops(path: Path) -> Any:
    """Return the schema of a model and its arrays; texts in the schema that are JSON become values."""
    with zipfile.ZipFile(path) as archive:
        content: dict[str, Any] = {}
        for name in archive.namelist():
            with archive.open(name) as file:
                content[name] = np.load(file, allow_pickle=False) if name.endswith(".npy") else _schema(file.read())
    return content


def _schema(text: bytes) -> Any:
    def decoded(node: dict[str, Any]) -> dict[str, Any]:
        return node | {"content": json.loads(node["content"])} if node.get("is_json") else node

    return json.loads(text, object_hook=decoded)


def _onnx(path: Path) -> Any:
    import onnx

    return _message(onnx.load(path))


def _message(message: Any) -> Any:
    """Return a message of protocol buffers as tuples, with tensors as arrays."""
    from onnx import TensorProto, numpy_helper

    if isinstance(message, TensorProto):
        return message.name, numpy_helper.to_array(message)
    if hasattr(message, "ListFields"):
        return [(field.name, _message(value)) for field, value in message.ListFields()]
    if isinstance(message, Iterable) and not isinstance(message, (str, bytes)):
        return [_message(value) for value in message]
    return message
