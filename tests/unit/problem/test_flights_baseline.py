"""The flights of another month, and a model that knew another column."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from delivery.core.errors import Failure
from delivery.decision import baseline
from delivery.decision.baseline import Baseline
from delivery.model import skopsfile
from delivery.stats import predictions
from problem import FEATURES, PERIOD, predict


def of(rows: pd.DataFrame, model, folder: Path) -> Baseline:
    skopsfile.dump(model, folder / "model.skops")
    theirs = predictions.predictions(rows, predict(model, rows[list(FEATURES)]))
    return Baseline("version 3", None, theirs, folder / "model.skops")


def test_a_model_is_not_asked_about_rows_that_it_has_learnt_from(model, rows, tmp_path: Path) -> None:
    chosen = of(rows[1], model, tmp_path)
    with pytest.raises(
        Failure, match="version 3 was trained on rows before 2013-03, which are among the new test rows"
    ):
        baseline.on(chosen, rows[0][rows[0][PERIOD] == "2013-02"])


def test_a_model_that_needs_a_column_which_is_gone_cannot_be_compared(model, rows, tmp_path: Path) -> None:
    chosen = of(rows[1].head(100), model, tmp_path)
    with pytest.raises(Failure, match="version 3 needs late_rate, which the new rows have not"):
        baseline.on(chosen, rows[1].drop(columns="late_rate"))


def test_rows_of_another_month_with_the_same_length_do_not_pass_for_the_same(model, rows, tmp_path: Path) -> None:
    chosen = of(rows[1].head(100), model, tmp_path)
    assert len(baseline.on(chosen, rows[1].iloc[100:200])) == 100


def test_a_model_is_asked_about_rows_that_are_newer(model, rows, tmp_path: Path) -> None:
    chosen = of(rows[1].head(100), model, tmp_path)
    found = baseline.on(chosen, rows[1])
    expected = predict(model, rows[1][list(FEATURES)])
    assert np.array_equal(found[predictions.PREDICTION].to_numpy(), expected)
