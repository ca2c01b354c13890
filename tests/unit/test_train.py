"""Training: finite, converged, the same again."""

import json
import warnings
from pathlib import Path

import made
import numpy as np
import pytest

from delivery import files, train
from delivery.errors import Failure
from delivery.params import Params
from problem import CLASSES, FEATURES, LABEL, predict


def test_a_model_that_does_not_converge_is_refused_with_the_fix(rows, settings: Params) -> None:
    hasty = made.changed(settings, train__model="logistic_regression", train__max_iter=1)
    with pytest.raises(Failure, match=r"logistic_regression did not converge \(.*\); raise train\.max_iter") as failure:
        train.fit(rows[0].head(3000), hasty.train)
    assert "\n" not in str(failure.value)


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
def test_a_loss_that_is_no_number_is_refused_with_its_iteration(name: str, bad: float) -> None:
    curves = {"train": [0.5, 0.4], "test": [0.5, 0.4]}
    curves[name] = [0.5, bad]
    with pytest.raises(Failure, match=f"the {name} loss is {bad} at iteration 2; lower train.learning_rate"):
        train.refuse_infinite(curves, np.array([0.5]))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_predictions_that_are_no_numbers_are_counted(bad: float) -> None:
    with pytest.raises(Failure, match="2 of 4 predictions are NaN or infinite, first at test row 1"):
        train.refuse_infinite({"train": [0.5]}, np.array([0.1, bad, 0.2, bad]))


def test_finite_numbers_pass() -> None:
    train.refuse_infinite({"train": [0.5, 0.4], "test": [0.6]}, np.array([0.0, 1.0]))


def test_a_curve_ends_at_the_loss_of_the_model(model, rows) -> None:
    test = rows[1]
    found = train.curve(model, test)
    assert len(found) == 8
    assert found[-1] == pytest.approx(train.mean_loss(test["late"].to_numpy(), predict(model, test[list(FEATURES)])))


@pytest.mark.parametrize("kind", ["logistic_regression", "dummy"])
def test_a_model_without_iterations_has_a_curve_of_one_point(kind: str, rows, settings: Params) -> None:
    chosen = made.changed(settings, train__model=kind, train__max_iter=1000)
    few = rows[0].head(2000)
    assert len(train.curve(train.fit(few, chosen.train), few)) == 1


def test_the_stage_writes_the_same_bytes_again(project: Path, settings: Params) -> None:
    before = files.digest(train.FOLDER)
    train.run(settings)
    assert files.digest(train.FOLDER) == before
    curves = json.loads(train.CONVERGENCE.read_text())
    assert curves["train"][-1] < curves["train"][0]


def test_a_refused_model_leaves_the_old_one(project: Path, settings: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    before = files.digest(train.FOLDER)
    monkeypatch.setattr(train, "predict", lambda _, rows: np.full(len(rows), np.nan))
    with pytest.raises(Failure, match="predictions are NaN or infinite"):
        train.run(settings)
    assert files.digest(train.FOLDER) == before


def test_a_feature_without_any_value_is_named(rows, settings: Params) -> None:
    name = FEATURES[-1]
    with pytest.raises(Failure, match=rf"feature {name} is missing in all [\d,]+ training rows"):
        train.fit(rows[0].assign(**{name: float("nan")}), settings.train)


def test_a_class_without_a_row_is_named(rows, settings: Params) -> None:
    with pytest.raises(Failure, match=rf"class {CLASSES[1]} has no row among the [\d,]+ for training"):
        train.fit(rows[0].assign(**{LABEL: 0.0}), settings.train)
