"""Load the exported model and score rows of FEATURES: one score per row, or one per class with more than two classes."""

import hashlib
from collections.abc import Callable, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from delivery.core import workspace
from delivery.core.errors import Failure
from delivery.core.manifest import Manifest
from problem import CATEGORIES, FEATURES

NAN = float("nan")
Row = tuple[Any, ...]  # values in the order of FEATURES, None for missing ones
Numbers = np.ndarray[Any, np.dtype[np.floating[Any]]]  # the image holds no numpy.typing
Score = Callable[[Sequence[Row]], Numbers]


class Model(NamedTuple):
    """A loaded model.

    `score` returns the scores of n rows, shape (n,) or (n, classes). `one` takes a row and `many` takes rows; both
    return score or scores, and the encoded inputs, shape (n, columns), as bytes of `dtype`. Only one thread at a time
    may call `one`.
    """

    manifest: Manifest
    dtype: type[np.floating]
    one: Callable[[Row], tuple[Any, bytes]]  # a float, or a list of them
    many: Callable[[Sequence[Row]], tuple[Numbers, bytes]]
    matrix: Callable[[Numbers], Numbers] | None = None  # encoded inputs to scores; None if it needs the rows

    def score(self, rows: Sequence[Row]) -> Numbers:
        """Return the scores of the rows."""
        return self.many(rows)[0]


def load(folder: Path) -> Model:
    """Load the model in `folder`. Raise `Failure` if it is incomplete, altered, or exported for different features."""
    manifest = read_manifest(folder)
    path = folder / manifest.model
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise Failure(f"{path} is missing; run `delivery export`") from None
    if hashlib.sha256(content).hexdigest() != manifest.sha256:
        raise Failure(f"{path} is not the file that manifest.json describes; run `delivery export` again")
    if tuple(manifest.features) != tuple(FEATURES):
        raise Failure("the model was exported for other features than the code has; run `dvc repro`")
    if manifest.runtime == "onnx":
        return _onnx(content, manifest)
    return _sklearn(path, manifest)


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest of the model in `folder`. Raise `Failure` if it is missing or invalid."""
    path = folder / workspace.MANIFEST
    try:
        return msgspec.json.decode(path.read_bytes(), type=Manifest)
    except FileNotFoundError:
        raise Failure(f"{path} is missing; run `delivery export`, or name the model's folder") from None
    except msgspec.DecodeError as error:
        raise Failure(f"{path} is no manifest ({error}); run `delivery export` again") from None


def picker(manifest: Manifest) -> Callable[[Row], Row]:
    """Return a function that reorders a row of FEATURES to manifest.columns."""
    indices = [FEATURES.index(name) for name in manifest.columns]
    return itemgetter(*indices) if len(indices) > 1 else lambda row: (row[indices[0]],)


def encoder(manifest: Manifest, dtype: type[np.floating] = np.float64) -> Callable[[Sequence[Row]], Numbers]:
    """Return a function from rows of FEATURES to numbers in the order of manifest.columns, shape (n, columns)."""
    pick = picker(manifest)
    codes = [(position, manifest.categories.get(name)) for position, name in enumerate(manifest.columns)]

    def encode(rows: Sequence[Row]) -> Numbers:
        out: Numbers = np.empty((len(rows), len(codes)), dtype)
        # Filling column by column takes a third of the time of building one array from all rows.
        for (position, code), column in zip(codes, zip(*map(pick, rows), strict=True), strict=True):
            out[:, position] = column if code is None else [code.get(value, NAN) for value in column]
        return out

    return encode


def _session(content: bytes, manifest: Manifest) -> Any:
    """Load the graph into ONNX Runtime on one thread. Raise `Failure` if it is no graph with the manifest's output."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the errors of onnxruntime have no common base class
        raise Failure(f"{manifest.model} cannot be used: {str(error).splitlines()[0]}; run `dvc repro`") from None
    if manifest.output not in [output.name for output in session.get_outputs()]:
        raise Failure(f"{manifest.model} cannot be used: it has no output {manifest.output!r}; run `dvc repro`")
    return session


def _onnx(content: bytes, manifest: Manifest) -> Model:
    """Load the graph, and encode rows in the precision (float or double) of its input."""
    session = _session(content, manifest)
    entry = session.get_inputs()[0]
    dtype = np.float64 if entry.type == "tensor(double)" else np.float32
    encode, outputs, index = encoder(manifest, dtype), [manifest.output], manifest.index
    several = len(manifest.classes) > 2

    def matrix(inputs: Numbers) -> Numbers:
        scores: Numbers = session.run(outputs, {entry.name: inputs})[0]
        return scores if several else scores[:, index]

    def many(rows: Sequence[Row]) -> tuple[Numbers, bytes]:
        inputs = encode(rows)
        return matrix(inputs), inputs.tobytes()

    # Most requests hold one row: fixed buffers, bound once, save a third of the call.
    inputs = encode([(None,) * len(FEATURES)])
    result = np.ascontiguousarray(session.run(outputs, {entry.name: inputs})[0])
    binding = session.io_binding()
    binding.bind_cpu_input(entry.name, inputs)
    binding.bind_output(manifest.output, "cpu", 0, result.dtype, result.shape, result.ctypes.data)
    pick = picker(manifest)
    known = manifest.categories
    codes = [(position, known[name]) for position, name in enumerate(manifest.columns) if name in known]

    def one(row: Row) -> tuple[Any, bytes]:
        numbers = list(pick(row))
        for position, code in codes:
            numbers[position] = code.get(numbers[position], NAN)
        inputs[0] = numbers
        session.run_with_iobinding(binding)
        return result[0].tolist() if several else result.item(index), inputs.tobytes()

    return Model(manifest, dtype, one, many, matrix)


def _sklearn(path: Path, manifest: Manifest) -> Model:
    """Load the whole pipeline into scikit-learn: for a model without an ONNX form, at a hundredth of the speed."""
    import pandas as pd

    from delivery.model import skopsfile
    from problem import predict

    pipeline, encode = skopsfile.load(path), encoder(manifest)
    numbers = [name for name in FEATURES if name not in CATEGORIES]

    def many(rows: Sequence[Row]) -> tuple[Numbers, bytes]:
        frame = pd.DataFrame(list(rows), columns=list(FEATURES))
        frame[numbers] = frame[numbers].astype(float)
        return np.asarray(predict(pipeline, frame), dtype=float), encode(rows).tobytes()

    def one(row: Row) -> tuple[Any, bytes]:
        scores, inputs = many([row])
        return scores[0].tolist(), inputs

    return Model(manifest, np.float64, one, many)
