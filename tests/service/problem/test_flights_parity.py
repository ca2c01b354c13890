"""The service's scores are scikit-learn's, to the last digits, on whatever comes; and the parity check sees it when not."""

import shutil
from functools import cache
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import msgspec
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import Pipeline

from delivery.core.errors import Failure
from delivery.core.files import write_json
from delivery.model import runtime
from delivery.pipeline import export, trees
from problem import CATEGORIES, FEATURES, Request, predict, row

NUMBERS = [name for name in FEATURES if name not in CATEGORIES]
load = cache(runtime.load)
QUICK = settings(
    max_examples=100, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def test_all_rows_as_the_service_reads_them(exported: Path, pipeline: Any, rows: pd.DataFrame) -> None:
    """Raw tables through the offline features and scikit-learn, requests through the online ones and the graph."""
    requests = export.requests(rows)
    online = [row(msgspec.json.decode(msgspec.json.encode(request), type=Request)) for request in requests]
    offline = rows[list(FEATURES)].astype(object).where(rows[list(FEATURES)].notna(), None)
    assert online == list(offline.itertuples(index=False, name=None))
    expected = predict(pipeline, rows[list(FEATURES)])
    model = runtime.load(exported)
    assert np.abs(model.score(online) - expected).max() < 1e-12
    assert max(abs(model.one(one)[0] - p) for one, p in zip(online[:500], expected, strict=False)) < 1e-12


@QUICK
@given(data=st.data())
def test_unknown_categories_gaps_and_extremes(data: st.DataObject, exported: Path, pipeline: Any) -> None:
    values: dict[str, Any] = {
        name: data.draw(st.sampled_from(["UA", "EWR", "ORD", "ZZ", "", "é"]), name) for name in CATEGORIES
    }
    number = st.none() | st.floats(allow_nan=False, allow_infinity=True) | st.integers(-(2**60), 2**60).map(float)
    values |= {name: data.draw(number, name) for name in NUMBERS}
    same(exported, pipeline, [values])


def test_values_beside_the_thresholds(exported: Path, pipeline: Any, encoded: np.ndarray) -> None:
    """One float64 step below, at and above a threshold: what float32 cannot tell apart."""
    rng = np.random.default_rng(7)
    splits = thresholds(pipeline[-1])
    chosen = encoded[rng.integers(0, len(encoded), 5000)]
    for one in chosen:
        for place in rng.choice(len(FEATURES), 6, replace=False):
            if len(splits[place]):
                at = rng.choice(splits[place])
                one[place] = rng.choice([at, np.nextafter(at, np.inf), np.nextafter(at, -np.inf)])
    graph = graph_of(exported)
    assert np.abs(graph(chosen) - pipeline[-1].predict_proba(chosen)[:, 1]).max() < 1e-12


def test_the_parity_check_catches_the_silent_categorical_error(made: Path, rows: pd.DataFrame, tmp_path: Path) -> None:
    """skl2onnx 1.20 converts native categories without a word, and wrongly."""
    from small import TRAIN, write

    from problem import LABEL, build

    ordinal = build(TRAIN)
    native = HistGradientBoostingClassifier(max_iter=30, categorical_features=[0, 1, 2], random_state=7)
    model = Pipeline([ordinal.steps[0], ("model", native)]).fit(rows[list(FEATURES)], rows[LABEL])
    with pytest.raises(Failure, match="the exported model differs from scikit-learn's"):
        write(model, rows, tmp_path / "export")


def test_the_parity_check_catches_codes_in_another_order(
    exported: Path, pipeline: Any, rows: pd.DataFrame, tmp_path: Path
) -> None:
    folder = shutil.copytree(exported, tmp_path / "export")
    manifest = msgspec.json.decode((folder / "manifest.json").read_bytes())
    codes = manifest["categories"]["carrier"]
    manifest["categories"]["carrier"] = dict(zip(codes, reversed(codes.values()), strict=True))
    write_json(folder / "manifest.json", manifest)
    with pytest.raises(Failure, match="rows differ"):
        export.refuse_mismatch(folder, rows, predict(pipeline, rows[list(FEATURES)]), 1e-6)


def same(exported: Path, pipeline: Any, values: list[dict[str, Any]]) -> None:
    frame = pd.DataFrame(values)[list(FEATURES)]
    frame[NUMBERS] = frame[NUMBERS].astype(float)
    expected = predict(pipeline, frame)
    model = load(exported)
    tuples = [tuple(one[name] for name in FEATURES) for one in values]
    assert model.score(tuples) == pytest.approx(expected, abs=1e-12)
    assert model.one(tuples[0])[0] == pytest.approx(expected[0], abs=1e-12)


def thresholds(model: HistGradientBoostingClassifier) -> list[np.ndarray]:
    """The thresholds of each feature."""
    nodes = np.concatenate([predictor.nodes for (predictor,) in model._predictors])
    inner = nodes[nodes["is_leaf"] == 0]
    inner = inner[np.isfinite(inner["num_threshold"])]
    return [np.unique(inner["num_threshold"][inner["feature_idx"] == place]) for place in range(len(FEATURES))]


def graph_of(folder: Path) -> Any:
    return lambda x: score((folder / "model.onnx").read_bytes(), x)


def score(content: bytes, x: np.ndarray) -> np.ndarray:
    return whole(content, x)[:, 0]


def whole(content: bytes, x: np.ndarray) -> np.ndarray:
    import onnxruntime

    session = onnxruntime.InferenceSession(content)
    return session.run([trees.OUTPUT], {"X": x})[0]
