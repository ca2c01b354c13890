"""Bad input stops the pipeline, through DVC too, with the cause and the fix; the next good state works again."""

import shutil
from pathlib import Path

import pandas as pd
import pytest
import sample

from delivery.__main__ import main


def refused(project: Path, line: str) -> None:
    """`dvc repro` stops with the line, and what was locked stays locked."""
    lock = (project / "dvc.lock").read_text()
    done = sample.repro(project, code=None)
    assert done.returncode
    assert line in done.stderr
    assert "Traceback" not in done.stderr
    assert (project / "dvc.lock").read_text() == lock


def test_predictions_that_are_no_numbers_stop_the_pipeline_and_undoing_it_mends_it(project: Path) -> None:
    module = project / "src" / "problem" / "model.py"
    text = module.read_text()
    broken = text.replace("model.predict_proba(rows)[:, 1]", "model.predict_proba(rows)[:, 1] * float('nan')")
    assert broken != text
    module.write_text(broken)
    refused(project, "error: 3487 of 3487 predictions are NaN or infinite, first at test row 0")
    module.write_text(text)
    assert "Running stage" not in sample.repro(project).stdout, "it comes back from the cache"
    assert not sample.git(project, "status", "--porcelain")


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        (
            "train.momentum",
            0.9,
            "error: params.yaml: train.momentum is unknown; docs/reference/params.md lists every key",
        ),
        (
            "train.model",
            "perceptron",
            "choose one of dummy, hist_gradient_boosting, logistic_regression, random_forest",
        ),
    ],
)
def test_a_wrong_parameter_stops_the_pipeline(name: str, value: object, line: str, project: Path) -> None:
    sample.change(project, {name: value})
    refused(project, line)


def test_an_unknown_parameter_of_no_stage_stops_the_run(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    sample.change(project, {"gate.patience": 3})
    monkeypatch.chdir(project)
    assert main(["run"]) == 1
    out, err = capsys.readouterr()
    assert err == "error: params.yaml: gate.patience is unknown; docs/reference/params.md lists every key\n"
    assert not out


def test_a_new_month_that_is_not_fetched_is_named_and_the_run_fetches_it(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    sample.change(project, {"fetch.until": "2013-06"})
    monkeypatch.chdir(project)
    assert main(["validate"]) == 1
    assert capsys.readouterr().err == (
        "error: data/flights is stale: fetch.until is 2013-06 and it lacks 2013-04, 2013-05, 2013-06; "
        "run `delivery fetch`\n"
    )
    said = sample.python(
        project, "-c", "from delivery.core import params; from delivery import run; print(run.data(params.load()))"
    ).stdout
    assert said.endswith("periods up to 2013-06\n")
    assert main(["validate"]) == 0


def test_months_that_are_too_new_are_named(project: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    sample.change(project, {"fetch.until": "2013-02"})
    monkeypatch.chdir(project)
    assert main(["validate"]) == 1
    assert "data/flights is stale: fetch.until is 2013-02 and it also holds 2013-03" in capsys.readouterr().err


@pytest.mark.parametrize("damage", ["cut off", "empty", "gone"])
def test_a_damaged_data_file_is_named_and_fetched_again(
    damage: str, project: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    path = project / "data" / "weather" / "2013-02.parquet"
    good = path.read_bytes()
    path.unlink()
    if damage != "gone":
        path.write_bytes(good[:-100] if damage == "cut off" else b"")
    monkeypatch.chdir(project)
    assert main(["validate"]) == 1
    err = capsys.readouterr().err
    assert err.startswith("error: data/weather")
    assert "run `delivery fetch`" in err
    sample.run(project, "fetch")
    assert path.read_bytes() == good


def test_data_that_break_the_schema_stop_the_pipeline_by_name(project: Path) -> None:
    path = project / "data" / "flights" / "2013-02.parquet"
    rows = pd.read_parquet(path)
    rows.loc[rows.index[:5], "distance"] = -1
    rows.to_parquet(path, index=False)
    refused(project, "flights.distance: greater_than_or_equal_to(1): 5 values, -1")


def test_a_source_with_another_checksum_is_refused(project: Path) -> None:
    archive = next((project / ".cache" / "source").iterdir())
    archive.write_bytes(archive.read_bytes() + b"!")
    before = sorted((project / "data").rglob("*"))
    shutil.copytree(project / "data", project / "before")
    done = sample.run(project, "fetch", code=1)
    assert "expected" in done.stderr
    assert "delete it and fetch again" in done.stderr
    assert sorted((project / "data").rglob("*")) == before
