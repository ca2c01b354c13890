"""A trial: each fold by a model that has seen only what was before, the same bits each time, kept whole or not at all."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from msgspec.structs import replace
from sample import adjusted

from delivery.core.params import Params
from delivery.search.trials import Trial, attempt, keep, read
from problem import FEATURES, LABEL, PERIOD


@pytest.fixture
def source(folder: Path, examples: pd.DataFrame) -> Path:
    """Labelled rows of three periods."""
    examples.dropna(subset=[LABEL]).to_parquet("train.parquet", index=False)
    return folder / "train.parquet"


def periods(source: Path) -> list[str]:
    return sorted(pd.read_parquet(source)[PERIOD].unique())


def test_the_same_trial_is_the_same_to_the_last_bit(source: Path, settings: Params) -> None:
    folds = periods(source)[1:]
    first = attempt(settings.train, source, folds, settings)
    assert first.sums == attempt(settings.train, source, folds, settings).sums
    assert all(value > 0 for value in first.sums)
    assert first.sums != attempt(adjusted(settings.train, max_iter=2), source, folds, settings).sums


def test_a_fold_knows_nothing_of_itself_or_of_what_comes_later(source: Path, settings: Params) -> None:
    _, second, third = periods(source)
    before = attempt(settings.train, source, [second], settings)
    rows = pd.read_parquet(source)
    later = rows[PERIOD] >= third
    rows.loc[later, LABEL] = 1 - rows.loc[later, LABEL]
    rows.loc[later, [name for name in FEATURES if rows[name].dtype == float]] = 0.0
    rows.to_parquet(source, index=False)
    assert attempt(settings.train, source, [second], settings).sums == before.sums
    rows.loc[rows[PERIOD] == second, LABEL] = 0.0  # the judgement changes with it, the model does not
    rows.to_parquet(source, index=False)
    assert attempt(settings.train, source, [second], settings).sums != before.sums


def test_settings_that_cannot_be_trained_are_a_trial_that_failed(source: Path, settings: Params) -> None:
    rows = pd.read_parquet(source)
    rows[FEATURES[-1]] = np.nan
    rows.to_parquet(source, index=False)
    found = attempt(settings.train, source, periods(source)[2:], settings)
    assert found.sums == []
    assert f"feature {FEATURES[-1]} is missing" in found.failed


def test_a_line_that_was_cut_off_is_not_a_trial(folder: Path, settings: Params) -> None:
    journal = Path("deep") / "journal.jsonl"
    assert read(journal) == []
    trials = [Trial(replace(settings.train, seed=seed), [0.1 + 0.2, seed / 3], 1.5) for seed in range(3)]
    for trial in trials:
        keep(journal, trial)
    assert read(journal) == trials
    whole = journal.read_bytes()
    journal.write_bytes(whole[:-7])
    assert read(journal) == trials[:2]
    keep(journal, trials[2])
    assert journal.read_bytes() == whole
