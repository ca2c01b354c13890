"""What is true of flights is true of the model."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sample
from msgspec.structs import replace

from delivery.core import params
from delivery.core.errors import Failure
from delivery.pipeline import export, train
from problem import CATEGORIES, FEATURES, Train, predict

EXPORT = params.load(sample.ROOT / "params.yaml").export
OPTIONAL = [name for name in FEATURES if name not in ("day_of_week", "hour", *CATEGORIES)]


@pytest.mark.parametrize(
    ("feature", "safer", "riskier"),
    [
        ("hour", 6, 19),  # a delay is handed on through the day
        ("late_rate", 0.0, 0.8),  # bad days come in rows
        ("visib", 10.0, 0.25),
        ("wind_speed", 5.0, 35.0),
    ],
)
def test_what_makes_flights_late_makes_them_riskier(feature: str, safer: float, riskier: float, split, fitted) -> None:
    low, high = (predict(fitted, split[1][list(FEATURES)].assign(**{feature: value})) for value in (safer, riskier))
    assert high.mean() > low.mean() + 0.01


def test_the_early_departures_of_the_month_are_the_safer_ones(split, fitted) -> None:
    scored = split[1].assign(p=predict(fitted, split[1][list(FEATURES)]))
    by_hour = scored.groupby("hour")[["p", "late"]].mean()
    for column in ("p", "late"):
        assert by_hour.loc[6, column] < by_hour.loc[18:20, column].mean()


def test_an_unknown_category_counts_as_a_missing_one(split, fitted) -> None:
    rows = split[1][list(FEATURES)].head(100)
    unknown, missing = (predict(fitted, rows.assign(carrier=value)) for value in ("ZZ", None))
    assert np.array_equal(unknown, missing)
    assert not np.array_equal(unknown, predict(fitted, rows))


def gaps(rows: pd.DataFrame) -> pd.DataFrame:
    """All missing, all unknown, and the extremes of every number's range."""
    out = export.with_gaps(rows)
    extremes = pd.concat([rows.head(1)] * 2, ignore_index=True)
    extremes[OPTIONAL] = [[-1e6] * len(OPTIONAL), [1e6] * len(OPTIONAL)]
    return pd.concat([out, extremes], ignore_index=True)


@pytest.mark.parametrize("name", ["hist_gradient_boosting", "random_forest", "logistic_regression", "dummy"])
def test_every_kind_of_model_gives_probabilities_whatever_is_missing(name: str, split, settings: Train) -> None:
    model = train.fit(split[0], replace(settings, model=name, max_iter=200 if name == "logistic_regression" else 10))
    got = predict(model, gaps(split[1])[list(FEATURES)])
    assert np.isfinite(got).all()
    assert ((got >= 0) & (got <= 1)).all()


def test_a_model_without_a_graph_is_refused_with_the_fix(split, settings: Train, tmp_path: Path) -> None:
    model = train.fit(split[0], replace(settings, model="dummy"))
    with pytest.raises(Failure, match=r"DummyClassifier has no ONNX form .*set export\.runtime: sklearn"):
        export.write_model(model, replace(EXPORT, runtime="onnx"), tmp_path)
