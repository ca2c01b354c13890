"""Loading: a model that is incomplete, altered or made for other code is refused with the cause."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest

from delivery.core import params, workspace
from delivery.core.errors import Failure
from delivery.core.files import write_json
from delivery.model import runtime
from delivery.pipeline import export
from problem import FEATURES, predict, row


def change(**values: object) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        path = folder / "manifest.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | values))

    return apply


BROKEN = {
    "no manifest": (lambda folder: (folder / "manifest.json").unlink(), "manifest.json is missing"),
    "no model": (lambda folder: (folder / "model.onnx").unlink(), "model.onnx is missing"),
    "not JSON": (lambda folder: (folder / "manifest.json").write_text("{"), "is no manifest"),
    "altered": (lambda folder: (folder / "model.onnx").write_bytes(b"other"), "is not the file"),
    "other features": (change(features=["a", "b"]), "other features"),
    "unknown runtime": (change(runtime="magic"), "is no manifest"),
    "no such output": (change(output="nothing"), "cannot be used"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_model_is_refused_with_the_cause(exported: Path, tmp_path: Path, name: str) -> None:
    spoil, words = BROKEN[name]
    folder = shutil.copytree(exported, tmp_path / "export")
    spoil(folder)
    with pytest.raises(Failure, match=words):
        runtime.load(folder)


def test_rows_are_encoded_in_the_order_of_the_columns(exported: Path, good: dict) -> None:
    manifest = runtime.read_manifest(exported)
    request = msgspec.convert(good, export.Request)
    values: dict[str, Any] = dict(zip(FEATURES, row(request), strict=True))
    encoded = runtime.encoder(manifest)([row(request), tuple(None for _ in FEATURES)])
    for place, name in enumerate(manifest.columns):
        codes = manifest.categories.get(name)
        assert encoded[0, place] == (codes[values[name]] if codes else values[name])
    assert np.isnan(encoded[1]).all()


def test_inputs_are_what_was_encoded(exported: Path, good: dict) -> None:
    model = runtime.load(exported)
    values = row(msgspec.convert(good, export.Request))
    expected = runtime.encoder(model.manifest, model.dtype)([values]).tobytes()
    assert model.one(values)[1] == model.many([values])[1] == expected


def test_scikit_learn_serves_what_has_no_graph(
    made: Path, rows: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workspace, "MODEL", made / "model.skops")
    pipeline = export.skopsfile.load(made / "model.skops")
    settings = params.Export(runtime="sklearn", tolerance=1e-6, examples=5)
    write_json(
        tmp_path / "manifest.json", export.describe(pipeline, rows) | export.write_model(pipeline, settings, tmp_path)
    )
    online = [row(request) for request in export.requests(rows.head(50))]
    expected = predict(pipeline, rows.head(50)[list(FEATURES)])
    model = runtime.load(tmp_path)
    assert model.score(online) == pytest.approx(expected, abs=1e-12)
    assert model.one(online[0])[0] == pytest.approx(expected[0], abs=1e-12)
