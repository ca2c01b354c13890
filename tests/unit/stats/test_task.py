"""Regression, binary and multi-class: what differs between them, and that everything else does not."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from delivery.core.errors import Failure
from delivery.core.params import Params
from delivery.drift import challenger, policy
from delivery.drift.policy import Window
from delivery.pipeline import convert, evaluate, export, plots
from delivery.service import openapi
from delivery.stats import predictions, task

CLASSES: dict[str, tuple[str, ...]] = {
    "regression": (),
    "binary": ("no", "yes"),
    "multiclass": ("red", "green", "blue"),
}
USERS = (task, plots, export, openapi)  # whoever reads CLASSES


@pytest.fixture(params=list(CLASSES))
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Set the classes of the problem."""
    return become(request.param, monkeypatch)


def become(name: str, monkeypatch: pytest.MonkeyPatch) -> str:
    for module in USERS:
        monkeypatch.setattr(module, "CLASSES", CLASSES[name])
    monkeypatch.setattr(task, "TASK", task.TASKS[name])
    return name


@pytest.fixture
def both(kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Return labels, and informative predictions that are right on average."""
    rng = np.random.default_rng(1)
    if kind == "regression":
        y = rng.normal(150, 50, 900)
        return y, y + rng.normal(0, 20, 900)
    k = max(2, len(CLASSES[kind]))
    p = rng.dirichlet(np.full(k, 0.7), 900)
    y = np.array([rng.choice(k, p=each) for each in p], float)
    return y, p[:, 1] if kind == "binary" else p


def test_the_number_of_classes_decides() -> None:
    assert {name: task.kind(classes) for name, classes in CLASSES.items()} == {name: name for name in CLASSES}
    with pytest.raises(ValueError, match="names one class"):
        task.kind(("only",))


def test_predictions_right_on_average_have_no_gap_and_shifted_ones_do(
    kind: str, both: tuple[np.ndarray, np.ndarray]
) -> None:
    y, p = both
    unit = y.std() if kind == "regression" else 1.0
    assert abs(task.gap(y, p)) < 0.05 * unit
    shifted = p + 0.2 * unit if p.ndim == 1 else p + np.array([0.2, -0.1, -0.1])
    assert task.gap(y, shifted) > 0.15 * unit
    assert evaluate.calibration(y, shifted).gap == task.gap(y, shifted)


def test_a_guess_has_the_shape_of_predictions_and_no_gap(kind: str, both: tuple[np.ndarray, np.ndarray]) -> None:
    y, p = both
    assert task.guess(y).shape == p.shape == task.shape(len(y))
    assert task.gap(y, task.guess(y)) == pytest.approx(0, abs=1e-9)
    assert len(task.level(y)) == len(task.named(p, "score"))
    assert task.worded(task.level(y)).startswith(task.TASK.level)


def test_invalid_labels_are_found(kind: str) -> None:
    assert task.impossible(np.array([0.0, 1.0])).size == 0
    assert task.impossible(np.array([0.0, np.inf])).tolist() == [np.inf]
    assert task.impossible(np.array([0.0, 7.0, 0.5])).tolist() == ([] if kind == "regression" else [7.0, 0.5])


def test_predictions_survive_a_table(kind: str, both: tuple[np.ndarray, np.ndarray], tmp_path) -> None:
    _, p = both
    column = pd.Series(p if p.ndim == 1 else list(p))
    pd.DataFrame({"p": column}).to_parquet(tmp_path / "p.parquet")
    assert np.array_equal(predictions.values(pd.read_parquet(tmp_path / "p.parquet")["p"]), p)
    assert predictions.values(column.head(0)).shape == task.shape(0)


def test_every_picture_of_the_task_is_drawn(kind: str, both: tuple[np.ndarray, np.ndarray]) -> None:
    for name in task.TASK.pictures:
        assert getattr(plots, name)(*both).startswith(b"\x89PNG")


def test_the_api_describes_the_prediction(kind: str) -> None:
    schema, example = openapi.prediction()
    words = {"regression": "number", "binary": "yes", "multiclass": "red, green, blue"}
    assert words[kind] in schema["description"]
    assert isinstance(example, list) == (kind == "multiclass") == (schema["type"] == "array")


def test_buckets_cover_the_predictions(kind: str, both: tuple[np.ndarray, np.ndarray]) -> None:
    bounds = task.buckets(both[1])
    assert bounds == sorted(bounds)
    assert bounds[-1] >= task.plain(both[1]).max() - 1e-9
    assert len(bounds) == 20


def test_a_linear_model_is_exact_in_onnx(kind: str, both: tuple[np.ndarray, np.ndarray]) -> None:
    import onnxruntime

    rng = np.random.default_rng(2)
    x = rng.normal(1e4, 300, (900, 4))
    last = Ridge() if kind == "regression" else LogisticRegression(max_iter=500)
    model = make_pipeline(StandardScaler(), last).fit(x, both[0])
    content, output = convert.to_onnx(model, 4, {"zipmap": False} if CLASSES[kind] else None)
    (got,) = onnxruntime.InferenceSession(content).run([output], {"X": x})
    expected = model.predict(x)[:, None] if kind == "regression" else model.predict_proba(x)
    assert got.dtype == np.float64
    assert np.abs(got - expected).max() < 1e-9 * max(1, np.abs(expected).max())


def test_the_worst_calibrated_of_several_classes_breaks_the_champion(
    settings: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    become("multiclass", monkeypatch)
    days, rows = 30, 100
    gaps = np.tile([1.0, 30.0, -31.0], (days, 1)) + np.random.default_rng(0).normal(size=(days, 3))
    window = Window("2013-05", np.full(days, rows), np.zeros(days), gaps, np.zeros((days, 3)))
    found = policy.calibration(window, settings.compare)
    assert found.gap == pytest.approx(-0.31, abs=0.01)
    assert policy.broken(found, 0.2)
    assert not policy.broken(found, 0.5)


def test_a_window_of_several_classes_keeps_each_ones_residual(monkeypatch: pytest.MonkeyPatch) -> None:
    become("multiclass", monkeypatch)
    from problem import BLOCK, LABEL, PERIOD

    rows = pd.DataFrame({BLOCK: ["a", "a", "b"], PERIOD: "2013-05", LABEL: [0.0, 1.0, 2.0]})
    p = np.full((3, 3), 1 / 3)
    monkeypatch.setattr(challenger, "losses", lambda y, p: {challenger.PRIMARY: p[np.arange(len(y)), y.astype(int)]})
    found = challenger.window(rows, p, p)
    assert found.gaps.shape == (2, 3)
    assert found.gaps.sum(axis=0) == pytest.approx([0, 0, 0])
    assert found.rows.tolist() == [2, 1]


def test_a_model_without_a_graph_is_refused_with_the_parameter_to_set() -> None:
    class Odd(LinearRegression):
        pass

    model = make_pipeline(StandardScaler(), Odd()).fit([[0.0], [1.0]], [0.0, 1.0])
    with pytest.raises(Failure, match=r"Odd has no ONNX form .*set export\.runtime: sklearn"):
        convert.to_onnx(model, 1, None)
