"""Forests of all three tasks: the graph predicts what scikit-learn does, with missing values and next to thresholds."""

import numpy as np
import onnxruntime
import pytest
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

from delivery.pipeline import trees

WIDTH = 4
LABELS = {
    "binary": lambda x: (np.nan_to_num(x[:, 0]) + x[:, 1] > 0).astype(float),
    "three classes": lambda x: np.digitize(x[:, 1], [-0.5, 0.5]).astype(float),
    "a number": lambda x: np.nan_to_num(x[:, 0]) * x[:, 1],
    "the same for all": lambda x: np.zeros(len(x)),
}


@pytest.mark.parametrize("task", LABELS)
def test_a_forest_in_double_precision(task: str) -> None:
    draw = np.random.default_rng(1)
    x = draw.normal(size=(400, WIDTH))
    x[draw.random(x.shape) < 0.1] = np.nan
    x[:, 1] = np.nan_to_num(x[:, 1])
    kind = RandomForestRegressor if task in ("a number", "the same for all") else RandomForestClassifier
    model = kind(n_estimators=9, min_samples_leaf=3, random_state=1).fit(x, LABELS[task](x))
    graph = trees.to_onnx(model, WIDTH)
    assert graph is not None
    splits = np.concatenate([one.tree_.threshold for one in model.estimators_])
    splits = splits[np.isfinite(splits)]  # an infinite one parts the missing from the rest
    beside = np.nextafter(splits, np.inf)[:, None].repeat(WIDTH, axis=1)  # beyond in double precision, in single not
    other = np.vstack([x, beside, np.full((1, WIDTH), np.nan)])
    (got,) = onnxruntime.InferenceSession(graph).run(None, {"X": other})
    wanted = model.predict(other)[:, None]
    if isinstance(model, RandomForestClassifier):
        wanted = model.predict_proba(other)[:, 1:] if task == "binary" else model.predict_proba(other)
    assert got.dtype == np.float64
    np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-12)


def test_a_forest_with_two_labels_is_not_converted() -> None:
    x = np.arange(20.0)[:, None]
    assert trees.to_onnx(RandomForestRegressor(2).fit(x, np.hstack([x, -x])), 1) is None
