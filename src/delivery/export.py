"""Stage `export`: the fitted pipeline as what the service loads, proven equal to scikit-learn."""

import importlib.metadata
import shutil
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import msgspec.inspect
import numpy as np
import pandas as pd

from delivery import prepare, skopsfile, trees
from delivery.errors import Failure
from delivery.files import ARTIFACTS, digest, replacing, write, write_json
from delivery.params import Export, Params
from delivery.train import MODEL
from problem import CATEGORIES, FEATURES, PERIOD, Request, predict, row

FOLDER = ARTIFACTS / "export"
MANIFEST = "manifest.json"
EXAMPLES = "examples.json"
LIBRARIES = ("numpy", "pandas", "scikit-learn", "skl2onnx", "onnx", "onnxruntime")


def run(params: Params) -> None:
    model = skopsfile.load(MODEL)
    train, test = prepare.read("train"), prepare.read("test")
    rows = with_gaps(test)
    expected = predict(model, rows[list(FEATURES)])
    with replacing(FOLDER) as folder:
        folder.mkdir()
        manifest = describe(model, train) | write_model(model, params.export, folder)
        write_json(folder / MANIFEST, manifest, exact=True)
        worst = refuse_mismatch(folder, rows, expected, params.export.tolerance)
        write_json(folder / MANIFEST, manifest | {"parity": worst}, exact=True)
        write_json(folder / EXAMPLES, examples(rows, expected, params.export.examples), exact=True)
    print(f"export: {manifest['model']}, largest difference from scikit-learn {worst:.1e} on {len(rows):,} rows")


def with_gaps(test: pd.DataFrame) -> pd.DataFrame:
    """The test rows, and a few more with every optional value missing or every category unknown."""
    missing, unknown = test.head(50).copy(), test.tail(50).copy()
    optional = [field.name for field in msgspec.structs.fields(Request) if field.default is None]
    missing[optional] = np.nan
    for name in CATEGORIES:
        seen = test[name].str.len().max()
        if name in open_categories():
            unknown[name] = "Z" * int(seen)
    return pd.concat([missing, unknown, test], ignore_index=True)


def open_categories() -> list[str]:
    """The categories that may take a value that nobody has seen: those without a list of choices."""
    info: Any = msgspec.inspect.type_info(Request)
    kinds = {field.name: getattr(field.type, "type", field.type) for field in info.fields}
    return [name for name in CATEGORIES if isinstance(kinds[name], msgspec.inspect.StrType)]


def describe(model, train: pd.DataFrame) -> dict:
    """What the service must know beside the graph: columns in order, codes of the categories."""
    columns: list[str] = []
    categories: dict[str, dict[str, int]] = {}
    for _, step, names in model[0].transformers_:
        columns += list(names)
        if hasattr(step, "categories_"):
            for name, values in zip(names, step.categories_, strict=True):
                categories[name] = {value: code for code, value in enumerate(values) if isinstance(value, str)}
    return {
        "features": list(FEATURES),
        "columns": columns,
        "categories": categories,
        "trained_on": sorted(train[PERIOD].unique()),
        "libraries": {name: importlib.metadata.version(name) for name in LIBRARIES},
    }


def write_model(model, params: Export, folder: Path) -> dict:
    """The model file in the form that the runtime asks for, and the manifest's lines about it."""
    if params.runtime == "sklearn":
        shutil.copy(MODEL, folder / "model.skops")
        return {"runtime": "sklearn", "model": "model.skops", "sha256": digest(folder / "model.skops")}
    graph = trees.to_onnx(model[-1], len(model[0].get_feature_names_out()))
    shape = {"output": "probability", "index": 0}
    if graph is None:
        graph, shape = to_onnx(model), {"output": "probabilities", "index": 1}
    write(folder / "model.onnx", graph)
    return {"runtime": "onnx", "model": "model.onnx", "sha256": digest(folder / "model.onnx")} | shape


def to_onnx(model) -> bytes:
    """The steps after `encode` as an ONNX graph: X (n, columns) float32 to probabilities (n, 2)."""
    from skl2onnx import to_onnx as convert
    from skl2onnx.common.data_types import FloatTensorType
    from skl2onnx.common.exceptions import MissingConverter, MissingShapeCalculator

    width = len(model[0].get_feature_names_out())
    try:
        with plain_attributes(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            graph = convert(
                model[1:], "model", initial_types=[("X", FloatTensorType([None, width]))], options={"zipmap": False}
            )
    except (MissingConverter, MissingShapeCalculator, NotImplementedError, RuntimeError) as error:
        name = type(model[-1]).__name__
        raise Failure(f"{name} has no ONNX form ({str(error).split('.')[0]}); set export.runtime: sklearn") from None
    return graph.SerializeToString()


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


def refuse_mismatch(folder: Path, rows: pd.DataFrame, expected: np.ndarray, tolerance: float) -> float:
    """Raises Failure unless the exported model gives scikit-learn's predictions; the largest difference."""
    from delivery.service import runtime

    online = [row(request) for request in requests(rows)]
    got = np.asarray(runtime.load(folder).score(online), dtype=float)
    difference = np.abs(got - expected)
    worst = int(np.nanargmax(np.where(np.isnan(difference), np.inf, difference)))
    if not difference[worst] <= tolerance:
        raise Failure(
            f"the exported model is not the model: row {worst} gives {got[worst]:.6f}, scikit-learn {expected[worst]:.6f} "
            f"(export.tolerance is {tolerance}); {int((~(difference <= tolerance)).sum()):,} of {len(rows):,} rows differ; "
            "set export.runtime: sklearn"
        )
    return float(difference[worst])


def examples(rows: pd.DataFrame, expected: np.ndarray, count: int) -> list[dict]:
    """Known rows with their predictions, as the API takes them; gaps first, the rest spread evenly."""
    chosen = np.unique(np.concatenate([[0, 1, 98, 99], np.linspace(100, len(rows) - 1, count - 4).astype(int)]))
    sent = msgspec.to_builtins(requests(rows.iloc[chosen]))
    return [
        {"request": {name: value for name, value in request.items() if value is not None}, "prediction": float(p)}
        for request, p in zip(sent, expected[chosen], strict=True)
    ]


def requests(rows: pd.DataFrame) -> list[Request]:
    """Prepared rows as the API would take them. Raises Failure for a row that the API would refuse."""
    columns = rows[list(Request.__struct_fields__)]
    plain = columns.astype(object).where(columns.notna(), None)
    for name in columns.select_dtypes("datetime"):
        plain[name] = pd.Series([moment.to_pydatetime() for moment in columns[name]], rows.index, dtype=object)
    try:
        return msgspec.convert(plain.to_dict("records"), list[Request])
    except msgspec.ValidationError as error:
        raise Failure(f"a test row is not a request: {error}; mend src/problem/schema.py or features.py") from None
