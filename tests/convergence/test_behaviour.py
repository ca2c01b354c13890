"""Every kind of model can be trained, exported and asked, and says the same each way."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sample
from msgspec.structs import replace

from delivery.core import params, workspace
from delivery.core.errors import Failure
from delivery.core.files import write_json
from delivery.model import skopsfile
from delivery.pipeline import export, train
from problem import FEATURES, LABEL, Request, Train, predict, row

SETTINGS = params.load(sample.ROOT / "params.yaml")


@pytest.mark.parametrize("order", ["reversed", "one by one"])
def test_a_prediction_does_not_depend_on_its_neighbours(order: str, split, fitted) -> None:
    rows = split[1][list(FEATURES)].head(50)
    expected = predict(fitted, rows)
    if order == "reversed":
        got = predict(fitted, rows[::-1])[::-1]
    else:
        got = np.concatenate([predict(fitted, rows.iloc[[at]]) for at in range(len(rows))])
    assert np.abs(got - expected).max() <= 1e-12 * np.abs(expected).max()


@pytest.mark.parametrize("chosen", sample.kinds(SETTINGS.train), ids=lambda train: str(getattr(train, "model", "")))
def test_every_kind_of_model_is_served_as_it_was_fitted(
    chosen: Train, split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By scikit-learn, and by ONNX but for those that have no such form, which are refused with the fix."""
    monkeypatch.chdir(tmp_path)
    model = train.fit(split[0], sample.adjusted(chosen, max_iter=200))
    skopsfile.dump(model, workspace.MODEL)
    rows = export.with_gaps(split[1].head(300))
    scale = export.scale(split[1][LABEL].to_numpy(float))
    for runtime in ("sklearn", "onnx"):
        if runtime == "onnx" and type(model[-1]).__name__.startswith("Dummy"):
            with pytest.raises(Failure, match=r"Dummy\w+ has no ONNX form .*set export\.runtime: sklearn"):
                export.write_model(model, SETTINGS.export, tmp_path)
            continue
        settings = replace(SETTINGS.export, runtime=runtime)
        tmp_path.joinpath(runtime).mkdir()
        manifest = export.describe(model, split[0]) | export.write_model(model, settings, Path(runtime))
        write_json(Path(runtime, workspace.MANIFEST), manifest, exact=True)
        expected = predict(model, rows[list(FEATURES)])
        assert export.refuse_mismatch(Path(runtime), rows, expected, settings.tolerance * scale) <= 1e-9 * scale


def test_a_row_offline_is_the_same_row_online(split) -> None:
    rows = split[1].head(200)
    online = pd.DataFrame([row(request) for request in export.requests(rows)], columns=list(FEATURES))
    offline = rows[list(FEATURES)].reset_index(drop=True)
    pd.testing.assert_frame_equal(online.astype(offline.dtypes), offline)
    assert set(Request.__struct_fields__) <= set(rows)
