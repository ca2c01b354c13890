"""What is measured: metrics with intervals, calibration, segments, importance, pictures."""

import json
from pathlib import Path

import made
import numpy as np
import pandas as pd
import pytest

from delivery.core import files, workspace
from delivery.core.errors import Failure
from delivery.core.params import Params
from delivery.data import prepared
from delivery.pipeline import evaluate
from delivery.stats import predictions, task
from problem import BLOCK, KEY, LABEL, PRIMARY, SEGMENTS, losses, score

ROWS = made.predictions()


def test_every_metric_comes_with_an_interval_that_holds_it(settings: Params) -> None:
    found = evaluate.measure(ROWS, settings.compare)
    expected = score(ROWS[LABEL].to_numpy(), predictions.values(ROWS[predictions.PREDICTION]))
    assert {name: row["value"] for name, row in found["metrics"].items()} == pytest.approx(expected)
    assert all(row["low"] < row["value"] < row["high"] for row in found["metrics"].values())
    assert (found["rows"], found["blocks"], found["periods"]) == (len(ROWS), 30, ["2013-05"])


def test_bad_days_make_the_interval_wide(settings: Params) -> None:
    """The same numbers on days that are all alike are known more precisely."""
    mixed = ROWS.assign(**{BLOCK: ROWS[BLOCK].sample(frac=1, random_state=1).to_numpy()})
    days, alike = (evaluate.measure(rows, settings.compare)["metrics"][PRIMARY] for rows in (ROWS, mixed))
    assert days["high"] - days["low"] > 1.5 * (alike["high"] - alike["low"])


def test_calibration_by_hand() -> None:
    y, p = np.array([0.0, 0, 1, 1]), np.array([0.1, 0.3, 0.6, 0.8])
    found = evaluate.calibration(y, p, bins=2)
    assert found["gap"] == pytest.approx(0.45 - 0.5)
    assert found["bins"] == [
        {"rows": 2, "predicted": pytest.approx(0.2), "observed": 0.0},
        {"rows": 2, "predicted": pytest.approx(0.7), "observed": 1.0},
    ]


def test_calibration_of_fewer_rows_than_bins() -> None:
    assert [row["rows"] for row in evaluate.calibration(np.array([0.0, 1]), np.array([0.2, 0.4]))["bins"]] == [1, 1]


def test_segments_hold_every_row_once_per_column(settings: Params) -> None:
    found = evaluate.measure(ROWS, settings.compare)["segments"]
    for column in SEGMENTS:
        mine = [row for row in found if row["segment"].startswith(f"{column}=")]
        assert sum(row["rows"] for row in mine) == len(ROWS)
        loss = losses(ROWS[LABEL].to_numpy(), predictions.values(ROWS[predictions.PREDICTION]))[PRIMARY].mean()
        assert sum(row["rows"] * row["value"] for row in mine) / len(ROWS) == pytest.approx(loss)


def test_predictions_carry_all_that_a_comparison_needs(rows) -> None:
    test = rows[1]
    found = predictions.predictions(test, np.full(len(test), 0.2))
    assert set(found) == {*KEY, BLOCK, "period", *SEGMENTS, LABEL, predictions.PREDICTION}
    assert len(found) == len(test)


def test_the_stage_writes_the_same_bytes_again(project: Path, settings: Params) -> None:
    written = [workspace.METRICS, workspace.PREDICTIONS, workspace.PLOTS]
    before = [files.digest(path) for path in written]
    evaluate.run(settings)
    assert [files.digest(path) for path in written] == before
    assert len(list(workspace.PLOTS.glob("*.png"))) == 3 + len(task.TASK.pictures)
    assert len(pd.read_parquet(workspace.PREDICTIONS)) == len(prepared.read("test"))
    assert json.loads(workspace.METRICS.read_text())["importance"]


def test_what_is_measured_is_the_exported_model(project: Path, settings: Params) -> None:
    (workspace.EXPORT / "model.onnx").write_bytes(b"another")
    with pytest.raises(Failure, match=r"model\.onnx is not the file that manifest\.json describes"):
        evaluate.run(settings)


@pytest.mark.parametrize("name", ["train", "test"])
def test_missing_rows_are_named_with_the_command(name: str, folder: Path) -> None:
    with pytest.raises(Failure, match=rf"{name}\.parquet is missing; run `dvc repro`"):
        prepared.read(name)
