"""The verb: on training rows alone, each trial once and on record, and going on where it was killed."""

import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import made
import pandas as pd
import pytest
from mlflow import MlflowClient
from msgspec.structs import replace

from delivery.__main__ import main
from delivery.core import files, params, workspace
from delivery.core.errors import Failure
from delivery.core.params import Params, Search
from delivery.registry import registry
from delivery.search import search
from delivery.search.record import EXPERIMENT
from delivery.search.trials import Trial
from delivery.search.verdict import SearchResult
from problem import FEATURES, LABEL, PERIOD, PRIMARY

pytestmark = pytest.mark.xdist_group("registry")  # MLflow makes its tables once


@pytest.fixture
def few(settings: Params) -> Params:
    """A handful of trials, each predicting the second period from the first."""
    space: dict[str, Any] = {"max_iter": [2, 3, 4, 5], "learning_rate": [settings.train.learning_rate]}
    return made.changed(settings, search=Search(trials=9, folds=1, seed=1, space=space))


@pytest.fixture
def prepared(rows: tuple[pd.DataFrame, pd.DataFrame], empty_registry: None, few: Params) -> Params:
    """What `prepare` leaves, with two periods to train on and one to test, and an empty registry; the settings."""
    Path("artifacts/prepare").mkdir(parents=True)
    for name, part in zip(("train", "test"), rows, strict=True):
        part.to_parquet(f"artifacts/prepare/{name}.parquet", index=False)
    Path("requirements").mkdir()
    Path("requirements/pipeline.txt").write_text("")
    return made.changed(few, fetch__until=rows[1][PERIOD].max())


def timeless(result: SearchResult) -> SearchResult:
    return replace(result, trials=tuple(replace(row, seconds=0) for row in result.trials))


def test_every_trial_is_tried_once_and_on_record(prepared: Params, capsys) -> None:
    first = search.run(prepared)
    said = capsys.readouterr().err
    assert "trial 5 of 5: best max_iter " in said
    assert first.folds == (prepared_periods()[1],)
    assert len(first.trials) == 5
    runs = registry.runs(EXPERIMENT)
    assert {run.params["max_iter"] for run in runs} == {"2", "3", "4", "5", "8"}
    assert all(run.status == "FINISHED" and run.metrics[PRIMARY] > 0 for run in runs)
    assert search.run(prepared) == first, "nothing is tried again, the seconds are those of then"
    assert "5 of 5 trials are in" in capsys.readouterr().err
    assert len(registry.runs(EXPERIMENT)) == 5


def prepared_periods() -> list[str]:
    return sorted(pd.read_parquet("artifacts/prepare/train.parquet")[PERIOD].unique())


def test_no_test_row_has_a_say(prepared: Params) -> None:
    """Labels and features of the test rows may be anything: the result is the same to the last bit."""
    first = search.run(prepared)
    test = pd.read_parquet("artifacts/prepare/test.parquet")
    test[LABEL] = 1 - test[LABEL]
    test[list(FEATURES)] = None
    test.to_parquet("artifacts/prepare/test.parquet", index=False)
    shutil.rmtree(workspace.SEARCH_JOURNALS)
    assert timeless(search.run(prepared)) == timeless(first)


def test_a_test_row_among_those_to_tune_on_is_refused(prepared: Params, rows) -> None:
    leak = pd.concat([rows[0], rows[1].head(3)])
    leak.to_parquet("artifacts/prepare/train.parquet", index=False)
    with pytest.raises(Failure, match="^3 of the rows to tune on are the gate's test rows"):
        search.run(prepared)
    leak.loc[leak[PERIOD] == rows[1][PERIOD].max(), PERIOD] = rows[0][PERIOD].max()  # with another period's name
    leak.to_parquet("artifacts/prepare/train.parquet", index=False)
    with pytest.raises(Failure, match="^3 of the rows to tune on are the gate's test rows"):
        search.run(prepared)
    assert not workspace.SEARCH_JOURNALS.exists()


def test_rows_that_would_be_the_gates_by_now_are_refused(prepared: Params) -> None:
    """params.yaml has changed since `prepare` ran: what was for training is for the test."""
    second = prepared_periods()[1]
    count = (pd.read_parquet("artifacts/prepare/train.parquet")[PERIOD] == second).sum()
    for settings in (made.changed(prepared, prepare__test_periods=2), made.changed(prepared, fetch__until=second)):
        with pytest.raises(
            Failure, match=f"^{count:,} of the rows to tune on are the gate's test rows; run `dvc repro`"
        ):
            search.run(settings)


def test_too_few_periods_say_so(prepared: Params) -> None:
    with pytest.raises(Failure, match=r"search\.folds is 2 and there are 2 periods to train on"):
        search.run(made.changed(prepared, search__folds=2))


def test_the_verb_writes_its_report_and_proposes_only_what_is_better(
    prepared: Params, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    found = search.run(prepared)
    asked = []

    def proposed(result: SearchResult) -> str:
        asked.append(result.best)
        return "#7 is opened"

    monkeypatch.setattr(search, "propose", proposed)
    monkeypatch.setattr(params, "load", lambda: prepared)
    for better in (False, True):
        monkeypatch.setattr(search, "run", lambda _, better=better: replace(found, better=better))
        assert not main(["search", "--propose"])
    assert asked == [found.best]
    out = capsys.readouterr().out
    assert out.endswith("search: #7 is opened\n")
    assert out.count(f"Tried on {found.folds[0]}, each predicted from the periods before it") == 2
    assert files.read_json(workspace.SEARCH, "search")["better"]


DYING = """
import os, pickle, signal, sys
from delivery.core import workspace
from delivery.search import search
settings = pickle.load(sys.stdin.buffer)
count, original = 0, search.attempt
def attempt(*words, **named):
    global count
    count += 1
    if count == 3:
        with next(workspace.SEARCH_JOURNALS.glob("*")).open("ab") as journal:
            journal.write(b'{"train":{"model":')
        os.kill(os.getpid(), signal.SIGKILL)
    return original(*words, **named)
search.attempt = attempt
search.run(settings)
"""


def test_killed_in_mid_run_it_goes_on_and_ends_with_the_same(prepared: Params, monkeypatch, capsys) -> None:
    whole = search.run(prepared)
    shutil.rmtree(workspace.SEARCH_JOURNALS)
    command = [sys.executable, "-c", DYING]
    done = subprocess.run(command, input=pickle.dumps(prepared), capture_output=True, check=False)
    assert done.returncode == -9, done.stderr
    attempts = []
    original = search.attempt

    def counted(*words: Any, **named: Any) -> Trial:
        attempts.append(words)
        return original(*words, **named)

    monkeypatch.setattr(search, "attempt", counted)
    assert timeless(search.run(prepared)) == timeless(whole)
    assert len(attempts) == 3
    assert "2 of 5 trials are in" in capsys.readouterr().err


def test_what_was_killed_before_it_was_on_record_is_recorded_now(prepared: Params, monkeypatch) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(MlflowClient, "log_batch", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            search.run(prepared)
    search.run(prepared)
    assert len(registry.runs(EXPERIMENT)) == 5


def test_present_settings_that_cannot_be_trained_end_the_search(prepared: Params, rows) -> None:
    rows[0].assign(**{FEATURES[-1]: float("nan")}).to_parquet("artifacts/prepare/train.parquet", index=False)
    with pytest.raises(Failure, match=f"the present settings cannot be trained: .*feature {FEATURES[-1]} is missing"):
        search.run(prepared)
    assert not workspace.SEARCH_JOURNALS.exists()
