"""Convert scikit-learn steps to an ONNX graph with skl2onnx, in double precision wherever ONNX Runtime supports it."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from delivery.core.errors import Failure


def to_onnx(steps: Any, width: int, options: dict[str, Any] | None) -> tuple[bytes, str]:
    """Return a graph that takes X, shape (n, width), and the name of its output.

    Linear models are in double precision, forests in float32: their operator has no other. Raise `Failure` if the model
    cannot be converted.
    """
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType
    from skl2onnx.common.exceptions import MissingConverter, MissingShapeCalculator
    from sklearn.impute import SimpleImputer

    cause: Exception | None = None
    for kind in (DoubleTensorType, FloatTensorType):
        try:
            with builtin_attributes(), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                graph = convert_sklearn(
                    steps,
                    "model",
                    initial_types=[("X", kind([None, width]))],
                    options=options,
                    custom_conversion_functions={SimpleImputer: impute},
                )
        except (MissingConverter, MissingShapeCalculator, NotImplementedError, RuntimeError) as error:
            cause = error  # the failure below names the cause of the last type tried
            continue
        if (cause := loading_error(graph.SerializeToString())) is None:
            return graph.SerializeToString(), graph.graph.output[-1].name
    raise Failure(
        f"{type(steps[-1]).__name__} has no ONNX form ({str(cause).split('.')[0]}); set export.runtime: sklearn"
    )


def loading_error(content: bytes) -> Exception | None:
    """Return the error with which ONNX Runtime refuses the graph, or None. Not every operator supports every type."""
    from onnxruntime import InferenceSession, SessionOptions

    quiet = SessionOptions()
    quiet.log_severity_level = 4
    try:
        InferenceSession(content, quiet, providers=["CPUExecutionProvider"])
    except Exception as error:  # the errors of onnxruntime have no common base class
        return error
    return None


def impute(scope: Any, operator: Any, container: Any) -> None:
    """Replace NaN by the fitted value of its column, in the type of the input: ONNX's own Imputer is float32 only."""
    from skl2onnx.common.data_types import guess_numpy_type

    column = operator.inputs[0]
    values, missing = (scope.get_unique_variable_name(name) for name in ("values", "missing"))
    fitted = np.asarray(operator.raw_operator.statistics_, guess_numpy_type(column.type))
    kind = 11 if fitted.dtype == np.float64 else 1  # TensorProto.DOUBLE, TensorProto.FLOAT
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
def builtin_attributes() -> Iterator[None]:
    """Convert node attributes to built-in types: skl2onnx 1.20 passes numpy values and booleans, protobuf 7 rejects them."""
    from skl2onnx.common import _container

    original = _container.make_node

    def make_node(*args: Any, **attributes: Any) -> Any:
        return original(*args, **{name: builtin(value) for name, value in attributes.items()})

    _container.make_node = make_node
    try:
        yield
    finally:
        _container.make_node = original


def builtin(value: Any) -> Any:
    """Return numpy values and booleans as the numbers and lists that protobuf accepts."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, list):
        return [builtin(part) for part in value]
    value = value.item() if isinstance(value, np.generic) else value
    return int(value) if isinstance(value, bool) else value
