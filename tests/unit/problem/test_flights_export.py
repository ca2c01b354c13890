"""The flights' gaps, requests and models in the exported form."""

from pathlib import Path

import made
import msgspec
import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import Pipeline

from delivery.core.errors import Failure
from delivery.core.params import Params
from delivery.pipeline import export, train, trees
from problem import CATEGORIES, FEATURES, LABEL, Request, row


def test_logistic_regression_goes_through_onnx_too(rows, settings: Params, tmp_path: Path) -> None:
    chosen = made.changed(settings, train__model="logistic_regression", train__max_iter=500)
    model = train.fit(rows[0], chosen.train)
    made.written(model, rows, chosen, tmp_path)
    assert made.checked(model, rows, tmp_path, tolerance=1e-4) < 1e-4


def test_a_forest_is_the_same_in_double_precision(rows, settings: Params, tmp_path: Path) -> None:
    chosen = made.changed(settings, train__model="random_forest", train__max_iter=20, train__max_leaf_nodes=200)
    model = train.fit(rows[0], chosen.train)
    made.written(model, rows, chosen, tmp_path)
    assert made.checked(model, rows, tmp_path, tolerance=1e-12) < 1e-12


def test_native_categories_which_the_converter_gets_wrong_are_refused(
    model, rows, settings: Params, tmp_path: Path
) -> None:
    encode = model[0]
    native = HistGradientBoostingClassifier(max_iter=8, categorical_features=[0, 1, 2], random_state=0)
    native.fit(encode.transform(rows[0][list(FEATURES)]), rows[0][LABEL])
    wrong = Pipeline([("encode", encode), ("model", native)])
    assert trees.to_onnx(native, len(FEATURES)) is None, "our own form does not claim to know them"
    made.written(wrong, rows, settings, tmp_path)
    with pytest.raises(Failure, match=r"the exported model differs from scikit-learn's.*set export\.runtime: sklearn"):
        made.checked(wrong, rows, tmp_path)


def test_a_model_without_an_onnx_form_says_what_to_set(rows, settings: Params, tmp_path: Path) -> None:
    dummy = train.fit(rows[0], made.changed(settings, train__model="dummy").train)
    with pytest.raises(Failure, match=r"DummyClassifier has no ONNX form .*; set export\.runtime: sklearn"):
        export.write_model(dummy, settings.export, tmp_path)


def test_the_rows_of_the_check_have_gaps_of_every_kind(rows) -> None:
    test = export.with_gaps(rows[1])
    assert len(test) == len(rows[1]) + 100
    assert test.head(50)[["temp", "seats", "late_rate"]].isna().all(axis=None)
    assert not set(test.iloc[50:100]["carrier"]) & set(rows[1]["carrier"])
    assert set(test.iloc[50:100]["origin"]) <= set(rows[1]["origin"]), (
        "an airport of a closed list has no unknown value"
    )
    assert {name for name in CATEGORIES if export.unseen(name, rows[1])} == {"carrier", "dest"}


def test_prepared_rows_are_requests_that_give_the_same_row_again(rows) -> None:
    test = rows[1].head(200)
    online = [row(request) for request in export.requests(test)]
    offline = test[list(FEATURES)].astype(object).where(test[list(FEATURES)].notna(), None)
    assert online == [tuple(values) for values in offline.itertuples(index=False)]


def test_a_row_that_the_api_would_refuse_is_named(rows) -> None:
    with pytest.raises(Failure, match=r"a test row is not a valid request: .*<= 6000\.0.*distance"):
        export.requests(rows[1].head(3).assign(distance=7000.0))


@pytest.mark.parametrize("count", [5, 12])
def test_examples_hold_gaps_and_known_predictions(count: int, rows) -> None:
    test = export.with_gaps(rows[1])
    known = export.examples(test, np.arange(len(test)), count)
    assert len(known) == count
    assert "temp" not in known[0].request, "missing values are left out"
    requests = msgspec.convert([example.request for example in known], list[Request], strict=False)
    chosen = test.iloc[[int(np.asarray(example.prediction)) for example in known]]
    assert [request.carrier for request in requests] == chosen["carrier"].tolist()


def test_codes_are_those_of_the_encoder(model, rows) -> None:
    manifest = export.describe(model, rows[0])
    assert set(manifest["categories"]) == set(CATEGORIES)
    assert manifest["categories"]["origin"] == {"EWR": 0, "JFK": 1, "LGA": 2}
    assert set(manifest["columns"]) == set(FEATURES) == set(manifest["features"])
