"""Stage `export`: write the fitted pipeline in the form that the service loads, verified against scikit-learn."""

import importlib.metadata
import shutil
from pathlib import Path
from typing import Any

import msgspec
import msgspec.inspect
import numpy as np
import pandas as pd
from msgspec.structs import replace

from delivery.core import workspace
from delivery.core.errors import Failure
from delivery.core.files import digest, replacing, write, write_json
from delivery.core.manifest import Example, Manifest
from delivery.core.params import Export, Params
from delivery.data import prepared
from delivery.model import skopsfile
from delivery.pipeline import convert, trees
from delivery.stats import task
from problem import CATEGORIES, CLASSES, FEATURES, LABEL, PERIOD, Request, predict, row

GAPS = 50  # rows to add with every optional value missing, and as many with every open category unknown
LIBRARIES = ("numpy", "pandas", "scikit-learn", "skl2onnx", "onnx", "onnxruntime")


def run(params: Params) -> None:
    """Export the model, check its predictions, and write manifest and example requests next to it."""
    model = skopsfile.load(workspace.MODEL)
    train, test = prepared.read("train"), prepared.read("test")
    rows = with_gaps(test)
    expected = predict(model, rows[list(FEATURES)])
    tolerance = params.export.tolerance * scale(test[LABEL].to_numpy(float))
    with replacing(workspace.EXPORT) as folder:
        folder.mkdir()
        manifest = Manifest(
            **describe(model, train),
            **write_model(model, params.export, folder),
            buckets=task.buckets(expected[-len(test) :]),
            tolerance=tolerance,
        )
        write_manifest(manifest, folder)
        worst = refuse_mismatch(folder, rows, expected, tolerance)
        write_manifest(replace(manifest, parity=worst), folder)
        known = examples(rows, expected, params.export.examples)
        write_json(folder / workspace.EXAMPLES, msgspec.to_builtins(known), exact=True)
    print(f"export: {manifest.model}, largest difference from scikit-learn {worst:.1e} on {len(rows):,} rows")


def write_manifest(manifest: Manifest, folder: Path) -> None:
    """Write manifest.json, without what is not known before the check, or not for this runtime."""
    document = msgspec.to_builtins(manifest)
    absent = {"parity"} if np.isinf(manifest.parity) else set()
    if manifest.runtime == "sklearn":
        absent |= {"output", "index"}  # of an ONNX graph
    write_json(
        folder / workspace.MANIFEST, {name: value for name, value in document.items() if name not in absent}, exact=True
    )


def scale(y: np.ndarray) -> float:
    """Return the unit of the tolerance: 1 for probabilities, the standard deviation of the labels for a number."""
    return 1.0 if CLASSES else float(np.std(y)) or 1.0


def with_gaps(test: pd.DataFrame) -> pd.DataFrame:
    """Return the test rows, preceded by GAPS rows with every optional value missing and GAPS with unknown categories."""
    missing, unknown = test.head(GAPS).copy(), test.tail(GAPS).copy()
    optional = [field.name for field in msgspec.structs.fields(Request) if field.default is None]
    missing[optional] = np.nan
    for name in CATEGORIES:
        if (value := unseen(name, test)) is not None:
            unknown[name] = value
    gaps = pd.concat([missing, unknown], ignore_index=True)
    made = pd.DataFrame([row(request) for request in requests(gaps)], columns=list(FEATURES))
    gaps[list(FEATURES)] = made.astype(test[list(FEATURES)].dtypes)  # features of a missing value are missing too
    return pd.concat([gaps, test], ignore_index=True)


def unseen(name: str, test: pd.DataFrame) -> str | None:
    """Return a value that the column lacks and the API accepts; None if the category's values are a closed list."""
    some, length = test.head(1), int(test[name].str.len().max())
    for letter in "Zz9":
        value = letter * length
        if value not in set(test[name]) and not isinstance(converted(some.assign(**{name: value})), str):
            return value
    return None


def describe(model: Any, train: pd.DataFrame) -> dict[str, Any]:
    """Return the manifest's account of the encoding: columns in order, codes of the categories, periods, libraries."""
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


def write_model(model: Any, params: Export, folder: Path) -> dict[str, Any]:
    """Write the model file for the runtime of `params`, and return the manifest's entries about it."""
    if params.runtime == "sklearn":
        shutil.copy(workspace.MODEL, folder / "model.skops")
        return {"runtime": "sklearn", "model": "model.skops", "sha256": digest(folder / "model.skops")}
    width = len(model[0].get_feature_names_out())
    graph, output, index = trees.to_onnx(model[-1], width), trees.OUTPUT, 0
    if graph is None:
        options = {"zipmap": False} if CLASSES else None
        graph, output = convert.to_onnx(model[1:], width, options)
        index = len(CLASSES) // 2  # with two classes the graph returns the probabilities of both
    write(folder / "model.onnx", graph)
    shape = {"output": output, "index": index}
    return {"runtime": "onnx", "model": "model.onnx", "sha256": digest(folder / "model.onnx")} | shape


def refuse_mismatch(folder: Path, rows: pd.DataFrame, expected: np.ndarray, tolerance: float) -> float:
    """Return the largest difference from scikit-learn's predictions. Raise `Failure` if it exceeds `tolerance`."""
    from delivery.model import runtime

    online = [row(request) for request in requests(rows)]
    got = np.asarray(runtime.load(folder).score(online), dtype=float)
    if got.shape != expected.shape:
        raise Failure(
            f"the exported model returns shape {got.shape}, scikit-learn {expected.shape}; set export.runtime: sklearn"
        )
    difference = np.abs(got - expected)
    worst = np.unravel_index(int(np.argmax(np.where(np.isnan(difference), np.inf, difference))), difference.shape)
    if not difference[worst] <= tolerance:
        wrong = int((~(difference <= tolerance)).reshape(len(rows), -1).any(axis=1).sum())
        raise Failure(
            f"the exported model differs from scikit-learn's: row {worst[0]} scores {got[worst]:.6f} instead of "
            f"{expected[worst]:.6f} (more than {tolerance:g} apart); {wrong:,} of {len(rows):,} rows differ; "
            "set export.runtime: sklearn"
        )
    return float(difference[worst])


def examples(rows: pd.DataFrame, expected: np.ndarray, count: int) -> list[Example]:
    """Return `count` rows as requests with their predictions: four with gaps first, the rest spread evenly."""
    gaps = min(2 * GAPS, 2 * len(rows) // 3)  # with fewer test rows than GAPS, each is there with its gaps
    first = [0, 1, gaps - 2, gaps - 1]
    chosen = np.unique(np.concatenate([first, np.linspace(gaps, len(rows) - 1, count - 4).astype(int)]))
    sent = msgspec.to_builtins(requests(rows.iloc[chosen]))
    return [
        Example({name: value for name, value in request.items() if value is not None}, p)
        for request, p in zip(sent, expected[chosen].tolist(), strict=True)
    ]


def requests(rows: pd.DataFrame) -> list[Request]:
    """Return prepared rows as the API's requests. Raise `Failure` if the API would reject one of them."""
    made = converted(rows)
    if isinstance(made, str):
        raise Failure(f"a test row is not a valid request: {made}; fix src/problem/schema.py or features.py")
    return made


def converted(rows: pd.DataFrame) -> list[Request] | str:
    """Return rows as requests, or msgspec's message about the first that is not valid."""
    columns = rows[list(Request.__struct_fields__)]
    values = columns.astype(object).where(columns.notna(), None)
    for name in columns.select_dtypes("datetime"):
        values[name] = pd.Series([moment.to_pydatetime() for moment in columns[name]], rows.index, dtype=object)
    try:
        return msgspec.convert(values.to_dict("records"), list[Request])
    except msgspec.ValidationError as error:
        return str(error)
