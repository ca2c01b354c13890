"""Load the exported model and score rows of FEATURES: one score per row, or one per class with more than two classes."""

import hashlib
from collections.abc import Callable, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np
from msgspec import Struct

from delivery.core.errors import Failure
from problem import CATEGORIES, FEATURES

NAN = float("nan")
Score = Callable[[Sequence[tuple]], np.ndarray]


class Manifest(Struct, frozen=True):
    """The contents of manifest.json, as `export` writes it."""

    features: list[str]
    columns: list[str]  # the order of the encoded inputs
    categories: dict[str, dict[str, float]]  # the code of each known value; any other value becomes NaN
    runtime: Literal["onnx", "sklearn"]
    model: str
    sha256: str
    output: str = ""
    index: int = 0  # the column of the output that is the score, unless there are more than two classes
    classes: list[str] = []  # empty if a number is predicted; with two the score is the probability of the second
    buckets: list[float] = []  # bounds of the histogram of scores
    tolerance: float = 1e-6  # largest difference of a score from scikit-learn's
    trained_on: list[str] = []
    libraries: dict[str, str] = {}


class Model(NamedTuple):
    """A loaded model. Rows are tuples in the order of FEATURES, with None for missing values.

    `score` returns the scores of n rows, shape (n,) or (n, classes). `one` takes a row and `many` takes rows; both
    return score or scores, and the encoded inputs, shape (n, columns), as bytes of `dtype`. Only one thread at a time
    may call `one`.
    """

    manifest: Manifest
    dtype: type
    one: Callable[[tuple], tuple[Any, bytes]]  # a float, or a list of them
    many: Callable[[Sequence[tuple]], tuple[np.ndarray, bytes]]
    matrix: Callable[[np.ndarray], np.ndarray] | None = None  # encoded inputs to scores; None if it needs the rows

    def score(self, rows: Sequence[tuple]) -> np.ndarray:
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
    path = folder / "manifest.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=Manifest)
    except FileNotFoundError:
        raise Failure(f"{path} is missing; run `delivery export`, or name the model's folder") from None
    except msgspec.DecodeError as error:
        raise Failure(f"{path} is no manifest ({error}); run `delivery export` again") from None


def picker(manifest: Manifest) -> Callable[[tuple], tuple]:
    """Return a function that reorders a row of FEATURES to manifest.columns."""
    indices = [FEATURES.index(name) for name in manifest.columns]
    return itemgetter(*indices) if len(indices) > 1 else lambda row: (row[indices[0]],)


def encoder(manifest: Manifest, dtype: type = np.float64) -> Callable[[Sequence[tuple]], np.ndarray]:
    """Return a function from rows of FEATURES to numbers in the order of manifest.columns, shape (n, columns)."""
    pick = picker(manifest)
    codes = [(place, manifest.categories.get(name)) for place, name in enumerate(manifest.columns)]

    def encode(rows: Sequence[tuple]) -> np.ndarray:
        out: np.ndarray = np.empty((len(rows), len(codes)), dtype)
        # Filling column by column takes a third of the time of building one array from all rows.
        for (place, code), column in zip(codes, zip(*map(pick, rows), strict=True), strict=True):
            out[:, place] = column if code is None else [code.get(value, NAN) for value in column]
        return out

    return encode


def _onnx(content: bytes, manifest: Manifest) -> Model:
    """Load the graph into ONNX Runtime on one thread, in the precision (float or double) of its input."""
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
    entry = session.get_inputs()[0]
    dtype = np.float64 if entry.type == "tensor(double)" else np.float32
    encode, outputs, index = encoder(manifest, dtype), [manifest.output], manifest.index
    several = len(manifest.classes) > 2

    def matrix(inputs: np.ndarray) -> np.ndarray:
        scores = session.run(outputs, {entry.name: inputs})[0]
        return scores if several else scores[:, index]

    def many(rows: Sequence[tuple]) -> tuple[np.ndarray, bytes]:
        inputs = encode(rows)
        return matrix(inputs), inputs.tobytes()

    # Most requests hold one row: fixed buffers, bound once, save a third of the call.
    inputs = encode([(None,) * len(FEATURES)])
    result = np.ascontiguousarray(session.run(outputs, {entry.name: inputs})[0])
    binding = session.io_binding()
    binding.bind_cpu_input(entry.name, inputs)
    binding.bind_output(manifest.output, "cpu", 0, result.dtype, result.shape, result.ctypes.data)
    pick = picker(manifest)
    codes = [(place, manifest.categories[n]) for place, n in enumerate(manifest.columns) if n in manifest.categories]

    def one(row: tuple) -> tuple[Any, bytes]:
        numbers = list(pick(row))
        for place, code in codes:
            numbers[place] = code.get(numbers[place], NAN)
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

    def many(rows: Sequence[tuple]) -> tuple[np.ndarray, bytes]:
        frame = pd.DataFrame(list(rows), columns=list(FEATURES))
        frame[numbers] = frame[numbers].astype(float)
        return np.asarray(predict(pipeline, frame), dtype=float), encode(rows).tobytes()

    def one(row: tuple) -> tuple[Any, bytes]:
        scores, inputs = many([row])
        return scores[0].tolist(), inputs

    return Model(manifest, np.float64, one, many)
