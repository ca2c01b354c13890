"""Trees as ONNX graphs are exactly those of scikit-learn."""

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from delivery.pipeline import trees


def test_a_tree_of_one_leaf_and_a_split_on_missing_alone() -> None:
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(40, 3)), rng.integers(0, 2, 40)
    x[::3, 1] = np.nan
    y[::3] = 1
    for smallest in (5, 40):
        model = HistGradientBoostingClassifier(max_iter=4, min_samples_leaf=smallest).fit(x, y)
        content = trees.to_onnx(model, 3)
        assert content is not None
        assert np.abs(score(content, x) - model.predict_proba(x)[:, 1]).max() < 1e-12


def test_native_categories_are_not_understood_and_not_written() -> None:
    rng = np.random.default_rng(3)
    x, y = rng.integers(0, 5, (90, 2)).astype(float), np.arange(90) % 2
    model = HistGradientBoostingClassifier(max_iter=2, categorical_features=[0]).fit(x, y)
    assert trees.to_onnx(model, 2) is None


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "poisson", "gamma", "quantile"])
def test_trees_of_a_number_are_exact(loss: str) -> None:
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(300, 3)), rng.gamma(2, 50, 300)
    x[::3, 1] = np.nan
    model = HistGradientBoostingRegressor(loss=loss, max_iter=20, quantile=0.9 if loss == "quantile" else None)
    content = trees.to_onnx(model.fit(x, y), 3)
    assert content is not None
    assert np.abs(score(content, x) / model.predict(x) - 1).max() < 1e-12


@pytest.mark.parametrize("classes", [3, 7])
def test_trees_of_several_classes_are_exact(classes: int) -> None:
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(300, 3)), np.arange(300) % classes
    x[::3, 1] = np.nan
    model = HistGradientBoostingClassifier(max_iter=20).fit(x, y)
    content = trees.to_onnx(model, 3)
    assert content is not None
    assert np.abs(whole(content, x) - model.predict_proba(x)).max() < 1e-12


def score(content: bytes, x: np.ndarray) -> np.ndarray:
    return whole(content, x)[:, 0]


def whole(content: bytes, x: np.ndarray) -> np.ndarray:
    import onnxruntime

    session = onnxruntime.InferenceSession(content)
    return session.run([trees.OUTPUT], {"X": x})[0]
