"""Stage `export`: the fitted pipeline as what the service loads, proven equal to scikit-learn."""

import importlib.metadata
import shutil
from pathlib import Path

import msgspec
import msgspec.inspect
import numpy as np
import pandas as pd

from delivery.core import workspace
from delivery.core.errors import Failure
from delivery.core.files import digest, replacing, write, write_json
from delivery.core.params import Export, Params
from delivery.data import prepared
from delivery.model import skopsfile
from delivery.pipeline import convert, trees
from delivery.stats import task
from problem import CATEGORIES, CLASSES, FEATURES, LABEL, PERIOD, Request, predict, row

GAPS = 50  # rows with every optional value missing, and as many with every open category unknown
LIBRARIES = ("numpy", "pandas", "scikit-learn", "skl2onnx", "onnx", "onnxruntime")


def run(params: Params) -> None:
    model = skopsfile.load(workspace.MODEL)
    train, test = prepared.read("train"), prepared.read("test")
    rows = with_gaps(test)
    expected = predict(model, rows[list(FEATURES)])
    tolerance = params.export.tolerance * scale(test[LABEL].to_numpy(float))
    with replacing(workspace.EXPORT) as folder:
        folder.mkdir()
        buckets = task.buckets(expected[-len(test) :])
        manifest = describe(model, train) | {"buckets": buckets} | write_model(model, params.export, folder)
        write_json(folder / workspace.MANIFEST, manifest, exact=True)
        worst = refuse_mismatch(folder, rows, expected, tolerance)
        write_json(folder / workspace.MANIFEST, manifest | {"parity": worst, "tolerance": tolerance}, exact=True)
        write_json(folder / workspace.EXAMPLES, examples(rows, expected, params.export.examples), exact=True)
    print(f"export: {manifest['model']}, largest difference from scikit-learn {worst:.1e} on {len(rows):,} rows")


def scale(y: np.ndarray) -> float:
    """What the tolerance is a part of: the spread of a number's labels, 1 for a probability."""
    return 1.0 if CLASSES else float(np.std(y)) or 1.0


def with_gaps(test: pd.DataFrame) -> pd.DataFrame:
    """The test rows, and before them a few more with every optional value missing or every category unknown."""
    missing, unknown = test.head(GAPS).copy(), test.tail(GAPS).copy()
    optional = [field.name for field in msgspec.structs.fields(Request) if field.default is None]
    missing[optional] = np.nan
    for name in CATEGORIES:
        if (value := unseen(name, test)) is not None:
            unknown[name] = value
    gaps = pd.concat([missing, unknown], ignore_index=True)
    made = pd.DataFrame([row(request) for request in requests(gaps)], columns=list(FEATURES))
    gaps[list(FEATURES)] = made.astype(test[list(FEATURES)].dtypes)  # what is made of a missing value is missing too
    return pd.concat([gaps, test], ignore_index=True)


def unseen(name: str, test: pd.DataFrame) -> str | None:
    """A value of the category that nobody has seen and the API takes; None where its values are a closed list."""
    some, length = test.head(1), int(test[name].str.len().max())
    for letter in "Zz9":
        value = letter * length
        if value not in set(test[name]) and not isinstance(converted(some.assign(**{name: value})), str):
            return value
    return None


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
        "classes": list(CLASSES),
        "trained_on": sorted(train[PERIOD].unique()),
        "libraries": {name: importlib.metadata.version(name) for name in LIBRARIES},
    }


def write_model(model, params: Export, folder: Path) -> dict:
    """The model file in the form that the runtime asks for, and the manifest's lines about it."""
    if params.runtime == "sklearn":
        shutil.copy(workspace.MODEL, folder / "model.skops")
        return {"runtime": "sklearn", "model": "model.skops", "sha256": digest(folder / "model.skops")}
    width = len(model[0].get_feature_names_out())
    graph, output, index = trees.to_onnx(model[-1], width), trees.OUTPUT, 0
    if graph is None:
        options = {"zipmap": False} if CLASSES else None
        graph, output = convert.to_onnx(model[1:], width, options)
        index = len(CLASSES) // 2  # both of two classes are given
    write(folder / "model.onnx", graph)
    shape = {"output": output, "index": index}
    return {"runtime": "onnx", "model": "model.onnx", "sha256": digest(folder / "model.onnx")} | shape


def refuse_mismatch(folder: Path, rows: pd.DataFrame, expected: np.ndarray, tolerance: float) -> float:
    """Raises Failure unless the exported model gives scikit-learn's predictions; the largest difference."""
    from delivery.model import runtime

    online = [row(request) for request in requests(rows)]
    got = np.asarray(runtime.load(folder).score(online), dtype=float)
    if got.shape != expected.shape:
        raise Failure(
            f"the exported model gives {got.shape}, scikit-learn {expected.shape}; set export.runtime: sklearn"
        )
    difference = np.abs(got - expected)
    place = np.unravel_index(int(np.argmax(np.where(np.isnan(difference), np.inf, difference))), difference.shape)
    if not difference[place] <= tolerance:
        wrong = int((~(difference <= tolerance)).reshape(len(rows), -1).any(axis=1).sum())
        raise Failure(
            f"the exported model is not the model: row {place[0]} gives {got[place]:.6f}, scikit-learn "
            f"{expected[place]:.6f} (more than {tolerance:g} apart); {wrong:,} of {len(rows):,} rows differ; "
            "set export.runtime: sklearn"
        )
    return float(difference[place])


def examples(rows: pd.DataFrame, expected: np.ndarray, count: int) -> list[dict]:
    """Known rows with their predictions, as the API takes them; gaps first, the rest spread evenly."""
    gaps = min(2 * GAPS, 2 * len(rows) // 3)  # of fewer test rows than GAPS all have their gaps
    first = [0, 1, gaps - 2, gaps - 1]
    chosen = np.unique(np.concatenate([first, np.linspace(gaps, len(rows) - 1, count - 4).astype(int)]))
    sent = msgspec.to_builtins(requests(rows.iloc[chosen]))
    return [
        {"request": {name: value for name, value in request.items() if value is not None}, "prediction": p}
        for request, p in zip(sent, expected[chosen].tolist(), strict=True)
    ]


def requests(rows: pd.DataFrame) -> list[Request]:
    """Prepared rows as the API would take them. Raises Failure for a row that the API would refuse."""
    made = converted(rows)
    if isinstance(made, str):
        raise Failure(f"a test row is not a request: {made}; mend src/problem/schema.py or features.py")
    return made


def converted(rows: pd.DataFrame) -> list[Request] | str:
    """Requests, or what msgspec has against one of them."""
    columns = rows[list(Request.__struct_fields__)]
    plain = columns.astype(object).where(columns.notna(), None)
    for name in columns.select_dtypes("datetime"):
        plain[name] = pd.Series([moment.to_pydatetime() for moment in columns[name]], rows.index, dtype=object)
    try:
        return msgspec.convert(plain.to_dict("records"), list[Request])
    except msgspec.ValidationError as error:
        return str(error)
