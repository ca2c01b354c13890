"""scikit-learn steps as an ONNX graph through skl2onnx, in double precision wherever ONNX Runtime can compute so."""

import warnings
from contextlib import contextmanager
from typing import Any

import numpy as np

from delivery.core.errors import Failure


def to_onnx(steps: Any, width: int, options: dict | None) -> tuple[bytes, str]:
    """A graph from X (n, width), and the name of its output. Raises Failure when there is none.

    Linear models are in double precision. Forests of trees are in float32: their operator knows no other.
    """
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType
    from skl2onnx.common.exceptions import MissingConverter, MissingShapeCalculator
    from sklearn.impute import SimpleImputer

    cause: Exception | None = None
    for kind in (DoubleTensorType, FloatTensorType):
        try:
            with plain_attributes(), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                graph = convert_sklearn(
                    steps,
                    "model",
                    initial_types=[("X", kind([None, width]))],
                    options=options,
                    custom_conversion_functions={SimpleImputer: impute},
                )
        except (MissingConverter, MissingShapeCalculator, NotImplementedError, RuntimeError) as error:
            cause = error  # of this type; what the last one has against it is said below
            continue
        if (cause := unusable(graph.SerializeToString())) is None:
            return graph.SerializeToString(), graph.graph.output[-1].name
    raise Failure(
        f"{type(steps[-1]).__name__} has no ONNX form ({str(cause).split('.')[0]}); set export.runtime: sklearn"
    )


def unusable(content: bytes) -> Exception | None:
    """What ONNX Runtime has against a graph: not every operator knows every type."""
    from onnxruntime import InferenceSession, SessionOptions

    quiet = SessionOptions()
    quiet.log_severity_level = 4
    try:
        InferenceSession(content, quiet, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has no common one
        return error
    return None


def impute(scope: Any, operator: Any, container: Any) -> None:
    """NaN by the fitted value of its column, in the type of the input: the Imputer of ONNX knows float32 only."""
    from skl2onnx.common.data_types import guess_numpy_type

    column = operator.inputs[0]
    values, missing = (scope.get_unique_variable_name(name) for name in ("values", "missing"))
    fitted = np.asarray(operator.raw_operator.statistics_, guess_numpy_type(column.type))
    kind = 11 if fitted.dtype == np.float64 else 1  # of TensorProto
    container.add_initializer(values, kind, [1, len(fitted)], fitted.tolist())
    container.add_node("IsNaN", column.full_name, missing, name=scope.get_unique_operator_name("IsNaN"), op_version=13)
    container.add_node(
        "Where",
        [missing, values, column.full_name],
        operator.outputs[0].full_name,
        name=scope.get_unique_operator_name("Where"),
        op_version=16,
    )


@contextmanager
def plain_attributes():
    """skl2onnx 1.20 hands numpy scalars and booleans to protobuf, and protobuf 7 refuses them."""
    from skl2onnx.common import _container

    original = _container.make_node

    def make_node(*args, **attributes):
        return original(*args, **{name: plain(value) for name, value in attributes.items()})

    _container.make_node = make_node
    try:
        yield
    finally:
        _container.make_node = original


def plain(value):
    """numpy values and booleans as what protobuf takes."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, list):
        return [plain(part) for part in value]
    value = value.item() if isinstance(value, np.generic) else value
    return int(value) if isinstance(value, bool) else value
