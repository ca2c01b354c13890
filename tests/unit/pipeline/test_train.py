"""Training: finite, converged, the same again."""

import json
import warnings
from pathlib import Path

import numpy as np
import pytest

from delivery.core import files, workspace
from delivery.core.errors import Failure
from delivery.core.params import Params
from delivery.pipeline import train
from delivery.stats import task
from problem import CLASSES, FEATURES, LABEL, predict


def test_other_warnings_do_not_stop_a_fit(rows, settings: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    build = train.build

    def warned(params):
        warnings.warn("of something else", UserWarning, stacklevel=1)
        return build(params)

    monkeypatch.setattr(train, "build", warned)
    with pytest.warns(UserWarning, match="of something else"):
        train.fit(rows[0].tail(500), settings.train)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("name", ["train", "test"])
def test_a_loss_that_is_not_finite_is_refused_with_its_iteration(name: str, bad: float) -> None:
    curves = {"train": [0.5, 0.4], "test": [0.5, 0.4]}
    curves[name] = [0.5, bad]
    with pytest.raises(Failure, match=f"the {name} loss is {bad} at iteration 2; lower train.learning_rate"):
        train.refuse_infinite(curves, np.array([0.5]))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_predictions_that_are_not_finite_are_counted(bad: float) -> None:
    with pytest.raises(Failure, match="2 of 4 predictions are NaN or infinite, first at test row 1"):
        train.refuse_infinite({"train": [0.5]}, shaped([0.1, bad, 0.2, bad]))


def shaped(values: list[float]) -> np.ndarray:
    """Predictions of the problem's own shape with these numbers."""
    shape = task.shape(len(values))
    return np.broadcast_to(np.reshape(values, (-1, *[1] * (len(shape) - 1))), shape)


def test_predictions_of_another_shape_are_refused() -> None:
    with pytest.raises(Failure, match=r"`predict` of src/problem/model\.py returns shape \(2, 99\), expected"):
        train.refuse_infinite({}, np.zeros((2, 99)))


def test_finite_numbers_pass() -> None:
    train.refuse_infinite({"train": [0.5, 0.4], "test": [0.6]}, shaped([0.0, 1.0]))


def test_a_learning_curve_ends_at_the_loss_of_the_model(model, rows) -> None:
    test = rows[1]
    found = train.curve(model, test)
    assert len(found) == 8
    assert found[-1] == pytest.approx(train.mean_loss(test[LABEL].to_numpy(), predict(model, test[list(FEATURES)])))


def test_the_stage_writes_the_same_bytes_again(project: Path, settings: Params) -> None:
    before = files.digest(workspace.TRAINED)
    train.run(settings)
    assert files.digest(workspace.TRAINED) == before
    curves = json.loads(workspace.CONVERGENCE.read_text())
    assert curves["train"][-1] < curves["train"][0]


def test_a_refused_model_leaves_the_old_one(project: Path, settings: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    before = files.digest(workspace.TRAINED)
    monkeypatch.setattr(train, "predict", lambda _, rows: np.full(task.shape(len(rows)), np.nan))
    with pytest.raises(Failure, match="predictions are NaN or infinite"):
        train.run(settings)
    assert files.digest(workspace.TRAINED) == before


def test_a_feature_without_any_value_is_named(rows, settings: Params) -> None:
    name = FEATURES[-1]
    with pytest.raises(Failure, match=rf"feature {name} is missing in all [\d,]+ training rows"):
        train.fit(rows[0].assign(**{name: float("nan")}), settings.train)


@pytest.mark.skipif(not CLASSES, reason="a number has no classes")
def test_a_class_without_a_row_is_named(rows, settings: Params) -> None:
    with pytest.raises(Failure, match=rf"class {CLASSES[1]}.* has none of the [\d,]+ training rows"):
        train.fit(rows[0].assign(**{LABEL: 0.0}), settings.train)
