"""The model: what params.yaml names is what is built, and strings become numbers in the first step only."""

from typing import Any

import made
import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from delivery.core import params
from delivery.core.params import Params
from delivery.core.params_reference import meanings
from problem import CATEGORIES, FEATURES, Train, build, predict

KINDS = {
    "hist_gradient_boosting": HistGradientBoostingClassifier,
    "random_forest": RandomForestClassifier,
    "logistic_regression": LogisticRegression,
    "dummy": DummyClassifier,
}


def test_every_setting_has_a_default_and_a_meaning() -> None:
    assert meanings(Train).keys() == set(Train.__struct_fields__)
    assert Train() == Train(**params.effective({}, Train))


@pytest.mark.parametrize(("name", "kind"), KINDS.items())
def test_each_choice_is_built_with_its_parameters(name: str, kind: Any, settings: Params) -> None:
    chosen = made.changed(settings, train__model=name, train__max_iter=33, train__C=0.5, train__seed=9)
    pipeline = build(chosen.train)
    assert [step for step, _ in pipeline.steps] == ["encode", "model"]
    last: Any = pipeline[-1]
    if name == "logistic_regression":
        last = last[-1]
    assert isinstance(last, kind)
    wanted = {"max_iter": 33, "n_estimators": 33, "C": 0.5, "random_state": 9}
    got = last.get_params()
    asked = {
        "hist_gradient_boosting": ["max_iter", "random_state"],
        "random_forest": ["n_estimators", "random_state"],
        "logistic_regression": ["max_iter", "C"],
    }.get(name, [])
    assert {key: got[key] for key in asked} == {key: wanted[key] for key in asked}


def test_the_first_step_leaves_numbers_and_an_unknown_category_is_missing(model, rows) -> None:
    test = rows[1].head(20)[list(FEATURES)].assign(carrier="ZZ", dest=[None] * 20)
    encoded = model[0].transform(test)
    assert encoded.dtype == float
    assert encoded.shape == (20, len(FEATURES))
    columns = [name.split("__")[1] for name in model[0].get_feature_names_out()]
    assert columns[: len(CATEGORIES)] == list(CATEGORIES)
    assert np.isnan(encoded[:, [columns.index("carrier"), columns.index("dest")]]).all()
    assert not np.isnan(encoded[:, columns.index("origin")]).any()


def test_a_prediction_is_one_probability_per_row(model, rows) -> None:
    p = predict(model, rows[1][list(FEATURES)])
    assert p.shape == (len(rows[1]),)
    assert ((p > 0) & (p < 1)).all()


def test_columns_may_come_in_any_order(model, rows) -> None:
    test: pd.DataFrame = rows[1].head(50)[list(FEATURES)]
    assert np.array_equal(predict(model, test), predict(model, test[list(reversed(FEATURES))]))
