"""What the stages leave obeys its schema: tables, JSON, pictures, models."""

import json
import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import pandas as pd
import pytest
import sample
import yaml
from PIL import Image

from delivery.core import params
from delivery.core.files import digest
from delivery.decision import report
from delivery.model import runtime, skopsfile
from delivery.stats import predictions, task
from problem import (
    BLOCK,
    CATEGORIES,
    FEATURES,
    HIGHER_IS_BETTER,
    KEY,
    LABEL,
    PERIOD,
    SEGMENTS,
    TABLES,
    TIME,
    Request,
    row,
)


@pytest.fixture(scope="session")
def artifacts(committed: Path) -> Path:
    return committed / "artifacts"


@pytest.fixture(scope="session")
def settings(committed: Path) -> params.Params:
    return params.load(committed / "params.yaml")


def table(path: Path) -> pd.DataFrame:
    return pd.read_parquet(path)


def content(path: Path) -> Any:
    """JSON without the numbers that JSON does not have."""
    return json.loads(path.read_text(), parse_constant=lambda word: pytest.fail(f"{path} holds {word}"))


@pytest.mark.parametrize("name", ["train", "test"])
def test_prepared_rows_have_their_columns_and_types(name: str, artifacts: Path) -> None:
    rows = table(artifacts / "prepare" / f"{name}.parquet")
    assert set(rows) >= {*KEY, BLOCK, PERIOD, LABEL, TIME, *FEATURES, *SEGMENTS}
    numbers = [column for column in FEATURES if column not in CATEGORIES]
    assert (rows[numbers].dtypes == "float64").all()
    assert not np.isinf(rows[numbers].to_numpy()).any()
    assert all(pd.api.types.is_string_dtype(rows[column]) for column in (*CATEGORIES, BLOCK, PERIOD))
    assert pd.api.types.is_datetime64_any_dtype(rows[TIME])
    assert len(task.impossible(rows[LABEL].to_numpy())) == 0
    assert not rows.duplicated(list(KEY)).any()
    assert rows[BLOCK].nunique() >= 5, "enough to resample"


def test_no_training_period_is_among_the_tests(artifacts: Path, settings: params.Params) -> None:
    train, test = (table(artifacts / "prepare" / f"{name}.parquet") for name in ("train", "test"))
    assert train[PERIOD].max() < test[PERIOD].min()
    assert train[TIME].max() < test[TIME].min()
    assert test[PERIOD].unique().tolist() == [settings.fetch.until]
    assert not train.merge(test, on=list(KEY)).size


def test_predictions_are_one_row_per_test_row(artifacts: Path) -> None:
    test, rows = table(artifacts / "prepare" / "test.parquet"), table(artifacts / "evaluate" / "predictions.parquet")
    assert list(rows) == list(dict.fromkeys([*KEY, BLOCK, PERIOD, *SEGMENTS, LABEL, "prediction"]))
    pd.testing.assert_frame_equal(rows.drop(columns="prediction"), test[list(rows.columns[:-1])])
    values = predictions.values(rows["prediction"])
    assert values.shape == task.shape(len(rows))
    assert len(np.unique(task.plain(values))) > len(rows) / 100


def test_metrics_lie_in_their_ranges_and_intervals(committed: Path, artifacts: Path) -> None:
    metrics, rows = (
        content(committed / "reports" / "metrics.json"),
        table(artifacts / "evaluate" / "predictions.parquet"),
    )
    assert metrics.keys() == {
        "rows", "blocks", "periods", "problem", "level", "metrics", "calibration", "segments", "importance"
    }  # fmt: skip
    assert metrics["rows"] == len(rows)
    assert metrics["blocks"] == rows[BLOCK].nunique()
    assert metrics["level"] == pytest.approx(task.level(rows[LABEL].to_numpy()), abs=1e-5)
    assert metrics["metrics"].keys() == HIGHER_IS_BETTER.keys()
    for found in metrics["metrics"].values():
        assert found["low"] <= found["value"] <= found["high"]
        assert found["low"] < found["high"]
    assert sum(part["rows"] for part in metrics["calibration"]["bins"]) == len(rows)


def test_segments_cover_every_row_once_per_column(committed: Path, artifacts: Path) -> None:
    rows = table(artifacts / "evaluate" / "predictions.parquet")
    found = content(committed / "reports" / "metrics.json")["segments"]
    for column in SEGMENTS:
        mine = [segment for segment in found if segment["segment"].startswith(f"{column}=")]
        assert sum(segment["rows"] for segment in mine) == len(rows)
        assert all(math.isfinite(segment[name]) for segment in mine for name in ("value", "low", "high"))


def test_importance_names_every_feature_once_greatest_first(committed: Path) -> None:
    found = content(committed / "reports" / "metrics.json")["importance"]
    assert sorted(entry["feature"] for entry in found) == sorted(FEATURES)
    assert all(first["mean"] >= second["mean"] for first, second in pairwise(found))


def test_the_validation_says_what_it_looked_at(committed: Path, settings: params.Params) -> None:
    found = content(committed / "reports" / "validate.json")
    assert found.keys() == {"until", "rows", "skew"}
    assert found["until"] == settings.fetch.until
    assert found["rows"].keys() == TABLES.keys()
    assert all(count > 100 for count in found["rows"].values())
    assert found["skew"].keys() == {name for name in TABLES if TABLES[name].periodic}
    for entry in (entry for rows in found["skew"].values() for entry in rows):
        assert entry["psi"] >= 0
        assert 0 <= entry["missing_before"] <= 1
        assert 0 <= entry["missing_now"] <= 1


def test_the_loss_is_recorded_for_every_iteration(artifacts: Path, settings: params.Params) -> None:
    curves = content(artifacts / "train" / "convergence.json")
    assert curves.keys() == {"train", "test"}
    assert {len(curve) for curve in curves.values()} == {settings.train.max_iter}
    assert curves["train"][-1] < curves["train"][0]


def test_the_pictures_are_those_of_the_report_and_can_be_read(committed: Path) -> None:
    pictures = {path.stem: path for path in (committed / "reports" / "plots").iterdir()}
    assert pictures.keys() == {*task.TASK.pictures, "loss_curve", "segments", "importance"} <= report.CAPTIONS.keys()
    for path in pictures.values():
        assert path.suffix == ".png"
        with Image.open(path) as picture:
            assert picture.format == "PNG"
            picture.load()
            assert min(picture.size) > 200


def test_the_fitted_model_is_of_trusted_types_only(artifacts: Path) -> None:
    model = skopsfile.load(artifacts / "train" / "model.skops")
    assert [name for name, _ in model.steps] == ["encode", "model"]


def test_the_manifest_describes_the_exported_file(artifacts: Path, settings: params.Params) -> None:
    folder = artifacts / "export"
    manifest = content(folder / "manifest.json")
    assert {path.name for path in folder.iterdir()} == {"manifest.json", "examples.json", manifest["model"]}
    assert manifest["sha256"] == digest(folder / manifest["model"])
    assert manifest["features"] == list(FEATURES)
    assert sorted(manifest["columns"]) == sorted(FEATURES)
    assert manifest["categories"].keys() == set(CATEGORIES)
    assert manifest["trained_on"] == list(sample.MONTHS[:-1])
    assert 0 <= manifest["parity"] <= manifest["tolerance"]
    onnx.checker.check_model(onnx.load(folder / manifest["model"]), full_check=True)
    runtime.read_manifest(folder)


def test_the_examples_are_requests_and_their_answers(artifacts: Path, settings: params.Params) -> None:
    examples = content(artifacts / "export" / "examples.json")
    assert len(examples) == settings.export.examples
    requests = msgspec.convert([example["request"] for example in examples], list[Request])
    got = runtime.load(artifacts / "export").score([row(request) for request in requests])
    expected = np.array([example["prediction"] for example in examples])
    assert np.abs(got - expected).max() <= content(artifacts / "export" / "manifest.json")["tolerance"]
    optional = [field.name for field in msgspec.structs.fields(Request) if field.default is None]
    assert any(all(getattr(request, name) is None for name in optional) for request in requests), "what may be missing"


def test_the_exported_model_gives_the_predictions_that_were_measured(artifacts: Path) -> None:
    rows = table(artifacts / "prepare" / "test.parquet")
    measured = predictions.values(table(artifacts / "evaluate" / "predictions.parquet")["prediction"])
    values = rows[list(FEATURES)].astype(object).where(rows[list(FEATURES)].notna(), None)
    got = runtime.load(artifacts / "export").score(list(values.itertuples(index=False, name=None)))
    assert np.abs(got - measured).max() <= 1e-12 * max(1.0, np.abs(measured).max())


def test_the_lock_describes_the_files_that_are_there(committed: Path) -> None:
    lock = yaml.safe_load((committed / "dvc.lock").read_text())["stages"]
    assert lock.keys() == yaml.safe_load((sample.ROOT / "dvc.yaml").read_text())["stages"].keys()
    for stage in lock.values():
        for out in stage["outs"]:
            path = committed / out["path"]
            files = [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]
            assert len(files) == out.get("nfiles", 1)
            assert sum(file.stat().st_size for file in files) == out["size"]
