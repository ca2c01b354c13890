"""The exported model is the fitted model, on every row, or it is refused."""

import json
from pathlib import Path

import made
import numpy as np
import pytest
from msgspec.structs import replace
from sample import adjusted

from delivery.core import files, workspace
from delivery.core.errors import Failure
from delivery.core.manifest import Manifest
from delivery.core.params import Params
from delivery.data import prepared
from delivery.model import runtime, skopsfile
from delivery.pipeline import export, train
from problem import FEATURES, predict

Rows = tuple


def test_the_exported_model_gives_scikit_learns_predictions(model, rows, settings: Params, tmp_path: Path) -> None:
    made.written(model, rows, settings, tmp_path)
    assert made.checked(model, rows, tmp_path) < 1e-12


def test_scikit_learn_can_serve_instead(model, rows, settings: Params, folder: Path) -> None:
    skopsfile.dump(model, workspace.MODEL)
    made.written(model, rows, made.changed(settings, export__runtime="sklearn"), folder)
    assert made.checked(model, rows, folder) == 0
    assert runtime.load(folder).manifest.runtime == "sklearn"


def test_another_model_than_the_fitted_one_is_refused(model, rows, settings: Params, tmp_path: Path) -> None:
    other = train.fit(rows[0], adjusted(settings.train, learning_rate=0.9))
    made.written(other, rows, settings, tmp_path)
    with pytest.raises(
        Failure, match=r"differs from scikit-learn's: row \d+ scores [-\d.]+ instead of [-\d.]+ .*rows differ"
    ):
        made.checked(model, rows, tmp_path)


def test_a_prediction_that_is_not_finite_is_a_mismatch(model, rows, settings: Params, tmp_path: Path) -> None:
    made.written(model, rows, settings, tmp_path)
    test = rows[1].head(5)
    expected = predict(model, test[list(FEATURES)])
    expected[2] = np.nan
    with pytest.raises(Failure, match=r"row 2 scores .* instead of nan"):
        export.refuse_mismatch(tmp_path, test, expected, 1e-6)


def test_a_model_file_that_was_altered_is_not_loaded(model, rows, settings: Params, tmp_path: Path) -> None:
    made.written(model, rows, settings, tmp_path)
    content = bytearray((tmp_path / "model.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "model.onnx").write_bytes(content)
    with pytest.raises(Failure, match=r"model\.onnx is not the file that manifest\.json describes"):
        runtime.load(tmp_path)


def test_a_model_for_other_features_is_not_loaded(model, rows, settings: Params, tmp_path: Path) -> None:
    made.written(model, rows, settings, tmp_path)
    manifest = json.loads((tmp_path / workspace.MANIFEST).read_text())
    files.write_json(tmp_path / workspace.MANIFEST, manifest | {"features": manifest["features"][1:]}, exact=True)
    with pytest.raises(Failure, match="exported for other features than the code has; run `dvc repro`"):
        runtime.load(tmp_path)


def test_the_stage_writes_the_same_bytes_again_and_leaves_the_old_ones_if_it_refuses(
    project: Path, settings: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = files.digest(workspace.EXPORT)
    export.run(settings)
    assert files.digest(workspace.EXPORT) == before
    test = prepared.read("test")
    assert len(json.loads((workspace.EXPORT / workspace.EXAMPLES).read_text())) == settings.export.examples <= len(test)
    monkeypatch.setattr(export, "predict", lambda model, rows: predict(model, rows) + 0.1)
    with pytest.raises(Failure, match="the exported model differs from scikit-learn's"):
        export.run(settings)
    assert files.digest(workspace.EXPORT) == before


def test_a_manifest_holds_only_what_is_known_of_its_runtime(tmp_path: Path) -> None:
    graph = Manifest(["a"], ["a"], {}, "onnx", "model.onnx", "1", output="probability")
    export.write_manifest(graph, tmp_path)
    assert {"output", "index", "tolerance"} <= (first := json.loads((tmp_path / workspace.MANIFEST).read_text())).keys()
    assert "parity" not in first
    export.write_manifest(replace(graph, runtime="sklearn", parity=0.0), tmp_path)
    second = json.loads((tmp_path / workspace.MANIFEST).read_text())
    assert second["parity"] == 0.0
    assert second.keys().isdisjoint({"output", "index"})
