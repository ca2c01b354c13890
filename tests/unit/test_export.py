"""The exported model is the fitted model, on every row, or it is refused."""

import json
from pathlib import Path

import made
import msgspec
import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import Pipeline

from delivery import export, files, prepare, skopsfile, train, trees
from delivery.errors import Failure
from delivery.params import Params
from delivery.service import runtime
from problem import CATEGORIES, FEATURES, LABEL, Request, predict, row

Rows = tuple


def written(model: Pipeline, rows: Rows, settings: Params, folder: Path) -> None:
    """What the stage does before it checks."""
    (folder / export.MANIFEST).write_text("")
    manifest = export.describe(model, rows[0]) | export.write_model(model, settings.export, folder)
    files.write_json(folder / export.MANIFEST, manifest, exact=True)


def checked(model: Pipeline, rows: Rows, folder: Path, tolerance: float = 1e-6) -> float:
    test = export.with_gaps(rows[1])
    return export.refuse_mismatch(folder, test, predict(model, test[list(FEATURES)]), tolerance)


def test_the_exported_model_gives_scikit_learns_predictions(model, rows, settings: Params, tmp_path: Path) -> None:
    written(model, rows, settings, tmp_path)
    assert checked(model, rows, tmp_path) < 1e-12


def test_logistic_regression_goes_through_onnx_too(rows, settings: Params, tmp_path: Path) -> None:
    chosen = made.changed(settings, train__model="logistic_regression", train__max_iter=500)
    model = train.fit(rows[0], chosen.train)
    written(model, rows, chosen, tmp_path)
    assert checked(model, rows, tmp_path, tolerance=1e-4) < 1e-4


def test_scikit_learn_can_serve_instead(model, rows, settings: Params, folder: Path) -> None:
    skopsfile.dump(model, train.MODEL)
    written(model, rows, made.changed(settings, export__runtime="sklearn"), folder)
    assert checked(model, rows, folder) == 0
    assert runtime.load(folder).manifest.runtime == "sklearn"


def test_another_model_than_the_fitted_one_is_refused(model, rows, settings: Params, tmp_path: Path) -> None:
    other = train.fit(rows[0], made.changed(settings, train__learning_rate=0.5).train)
    written(other, rows, settings, tmp_path)
    with pytest.raises(Failure, match=r"is not the model: row \d+ gives 0\.\d+, scikit-learn 0\.\d+ .*rows differ"):
        checked(model, rows, tmp_path)


def test_native_categories_which_the_converter_gets_wrong_are_refused(
    model, rows, settings: Params, tmp_path: Path
) -> None:
    encode = model[0]
    native = HistGradientBoostingClassifier(max_iter=8, categorical_features=[0, 1, 2], random_state=0)
    native.fit(encode.transform(rows[0][list(FEATURES)]), rows[0][LABEL])
    wrong = Pipeline([("encode", encode), ("model", native)])
    assert trees.to_onnx(native, len(FEATURES)) is None, "our own form does not claim to know them"
    written(wrong, rows, settings, tmp_path)
    with pytest.raises(Failure, match=r"the exported model is not the model.*set export\.runtime: sklearn"):
        checked(wrong, rows, tmp_path)


def test_a_prediction_that_is_no_number_is_a_mismatch(model, rows, settings: Params, tmp_path: Path) -> None:
    written(model, rows, settings, tmp_path)
    test = rows[1].head(5)
    expected = predict(model, test[list(FEATURES)])
    expected[2] = np.nan
    with pytest.raises(Failure, match=r"row 2 gives .*, scikit-learn nan"):
        export.refuse_mismatch(tmp_path, test, expected, 1e-6)


def test_a_model_without_an_onnx_form_says_what_to_set(rows, settings: Params, tmp_path: Path) -> None:
    dummy = train.fit(rows[0], made.changed(settings, train__model="dummy").train)
    with pytest.raises(Failure, match=r"DummyClassifier has no ONNX form .*; set export\.runtime: sklearn"):
        export.write_model(dummy, settings.export, tmp_path)


def test_a_model_file_that_was_altered_is_not_loaded(model, rows, settings: Params, tmp_path: Path) -> None:
    written(model, rows, settings, tmp_path)
    content = bytearray((tmp_path / "model.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "model.onnx").write_bytes(content)
    with pytest.raises(Failure, match=r"model\.onnx is not the file that manifest\.json describes"):
        runtime.load(tmp_path)


def test_a_model_for_other_features_is_not_loaded(model, rows, settings: Params, tmp_path: Path) -> None:
    written(model, rows, settings, tmp_path)
    manifest = json.loads((tmp_path / export.MANIFEST).read_text())
    files.write_json(tmp_path / export.MANIFEST, manifest | {"features": manifest["features"][1:]}, exact=True)
    with pytest.raises(Failure, match="exported for other features than the code has; run `dvc repro`"):
        runtime.load(tmp_path)


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
    with pytest.raises(Failure, match=r"a test row is not a request: .*<= 6000\.0.*distance"):
        export.requests(rows[1].head(3).assign(distance=7000.0))


@pytest.mark.parametrize("count", [5, 12])
def test_examples_hold_gaps_and_known_predictions(count: int, rows) -> None:
    test = export.with_gaps(rows[1])
    known = export.examples(test, np.arange(len(test)), count)
    assert len(known) == count
    assert "temp" not in known[0]["request"], "missing values are left out"
    requests = msgspec.convert([example["request"] for example in known], list[Request], strict=False)
    chosen = test.iloc[[int(example["prediction"]) for example in known]]
    assert [request.carrier for request in requests] == chosen["carrier"].tolist()


def test_codes_are_those_of_the_encoder(model, rows) -> None:
    manifest = export.describe(model, rows[0])
    assert set(manifest["categories"]) == set(CATEGORIES)
    assert manifest["categories"]["origin"] == {"EWR": 0, "JFK": 1, "LGA": 2}
    assert set(manifest["columns"]) == set(FEATURES) == set(manifest["features"])


def test_the_stage_writes_the_same_bytes_again_and_leaves_the_old_ones_if_it_refuses(
    project: Path, settings: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = files.digest(export.FOLDER)
    export.run(settings)
    assert files.digest(export.FOLDER) == before
    test = prepare.read("test")
    assert len(json.loads((export.FOLDER / export.EXAMPLES).read_text())) == settings.export.examples <= len(test)
    monkeypatch.setattr(export, "predict", lambda model, rows: predict(model, rows) + 0.1)
    with pytest.raises(Failure, match="is not the model"):
        export.run(settings)
    assert files.digest(export.FOLDER) == before
