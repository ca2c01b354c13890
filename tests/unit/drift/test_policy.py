"""The policy: what a gain must be to be acted upon, and what stops it."""

import importlib.util
from types import ModuleType
from typing import Any

import made
import numpy as np
import pytest

from delivery.core.params import Params
from delivery.drift import policy
from delivery.drift.policy import Window

DAYS = 30
PERIODS = [f"2013-{month:02d}" for month in range(1, 13)]


@pytest.fixture(scope="session")
def strict(settings: Params) -> Params:
    """The section `drift` written out, so that a team's own numbers change no test."""
    values: dict[str, Any] = {
        "calibration_gap": 0.05, "confidence": 0.9, "min_gain": 0.003, "min_rows": 5000, "min_days": 14, "open_after": 1, "close_after": 1,
        "cooldown": 1, "runs_per_year": 6, "minutes_per_month": 60,
    }  # fmt: skip
    return made.changed(settings, **{f"drift__{name}": value for name, value in values.items()})


def window(gain: float, sd: float, month: int = 7, gap: float = 0.0, remains: float = 0.0) -> Window:
    """A month of 30 days with 100 rows each; the daily mean gain has exactly this mean and standard deviation."""
    noise = np.random.default_rng(month).normal(size=DAYS)
    noise = (noise - noise.mean()) / noise.std()
    rows = np.full(DAYS, 100.0)
    return Window(f"2013-{month:02d}", rows, 100 * (gain + sd * noise), gap * rows, remains * rows)


@pytest.mark.parametrize(
    ("windows", "verdict", "why"),
    [
        ([window(0.03, 0.02)], "retrain", "a challenger gains +0.0300 ["),
        ([window(0.01, 0.06)], "hold", "within noise; calibration gap +0.0000"),
        ([window(0.01, 0.03)], "retrain", "beyond noise"),
        ([window(0.002, 0.001)], "no", "less than drift.min_gain 0.003"),
        ([window(-0.002, 0.06)], "no", "within noise"),
        ([window(-0.03, 0.02)], "no", "beyond noise worse than the champion"),
        ([window(0.01, 0.04, month) for month in (6, 7, 8, 9)], "retrain", "pooled over the 4 months that agree, 2013-06 to"),
        ([window(0.05, 0.02, 6), window(0.004, 0.03, 7)], "hold", "within noise"),
        ([window(-0.05, 0.02, 6), window(0.03, 0.02, 7)], "retrain", "beyond noise"),
        ([window(0.05, 0.02, 6), window(-0.001, 0.02, 7)], "no", "within noise"),
        ([window(0.002, 0.02, gap=0.08, remains=0.01)], "retrain", "calibration broke: gap +0.0800"),
        ([window(0.002, 0.02, gap=-0.08, remains=0.01)], "retrain", "calibration broke: gap -0.0800"),
        ([window(0.002, 0.02, gap=0.08, remains=0.07)], "no", "calibration gap +0.0800"),
        ([window(-0.002, 0.02, gap=0.08, remains=0.01)], "no", "calibration gap +0.0800"),
        ([window(0.002, 0.02, gap=0.04, remains=0.0)], "no", "calibration gap +0.0400"),
    ],
    ids=[
        "proven", "worth it if true", "nineteen in twenty", "certain and not worth it", "noise", "worse", "small gains that agree",
        "an old gain does not speak for today", "an old loss neither", "the newest month has the last word",
        "too high", "too low", "a gap nobody closes", "a gap closed at a loss", "a gap within the limit",
    ],
)  # fmt: skip
def test_verdict(windows: list[Window], verdict: str, why: str, strict: Params) -> None:
    found = policy.judge(windows, strict.compare, strict.drift)
    assert found["verdict"] == verdict
    assert why in found["why"]


def test_pooling_stops_at_the_first_month_that_disagrees(strict: Params) -> None:
    windows = [window(0.01, 0.02, 5), window(0.08, 0.02, 6), window(0.01, 0.03, 7), window(0.01, 0.03, 8)]
    assert [each.month for each in policy.agreeing(windows, strict.compare)] == ["2013-07", "2013-08"]


def test_the_interval_is_that_of_compare(strict: Params) -> None:
    import pandas as pd

    from delivery.stats.bootstrap import blocks, interval, means

    one = window(0.01, 0.02)
    grouped = blocks(pd.Series(np.arange(DAYS)), strict.compare.resamples, strict.compare.seed)
    expected = interval(means(one.gains / 100, grouped), strict.compare.confidence)
    found = policy.pool([one], strict.compare)
    assert (found["low"], found["high"]) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("rows", "labelled", "days", "why"),
    [
        (0, 0, 0, "there are no rows"),
        (9000, 0, 0, "9,000 rows and none has a label yet"),
        (9000, 4999, 30, "4,999 labelled rows are fewer than drift.min_rows 5,000"),
        (9000, 9000, 13, "labels of 13 days are fewer than drift.min_days 14: the month is not over"),
        (9000, 5000, 14, ""),
    ],
)
def test_what_cannot_be_judged_yet(rows: int, labelled: int, days: int, why: str, strict: Params) -> None:
    assert policy.unready(rows, labelled, days, strict.drift) == why


def entry(month: str, verdict: str = "retrain", **values: Any) -> dict:
    said = {"date": "2013-08-02T05:17:00+00:00", "month": month, "verdict": verdict, "champion": "a", "seconds": 60.0}
    return said | {"retrain": verdict == "retrain"} | values


def hindrance(strict: Params, history: list[dict], month: str = "2013-08", **changes: Any) -> str:
    changed = made.changed(strict, **changes)
    return policy.hindrance(history, month, PERIODS, "2013-07", "2013-08-09", changed.drift)


def test_nothing_hinders_the_first_retraining(strict: Params) -> None:
    assert hindrance(strict, []) == ""


def test_cool_down(strict: Params) -> None:
    assert "1 months old and drift.cooldown is 2" in hindrance(strict, [], drift__cooldown=2)
    assert hindrance(strict, [], month="2013-09", drift__cooldown=2) == ""


def test_the_budget_of_runs_counts_months_not_checks(strict: Params) -> None:
    history = [entry("2013-06"), entry("2013-07"), entry("2013-07"), entry("2013-08")]
    assert hindrance(strict, history, drift__runs_per_year=3) == ""
    assert "2 retrainings within a year" in hindrance(strict, history, drift__runs_per_year=2)


def test_the_budget_of_minutes_is_the_calendar_months(strict: Params) -> None:
    history = [entry("2013-06", "no", seconds=3000.0, date="2013-07-31"), entry("2013-07", "no", seconds=600.0)]
    assert hindrance(strict, history, drift__minutes_per_month=11) == ""
    assert "10.0 compute minutes this month" in hindrance(strict, history, drift__minutes_per_month=10)


def test_a_clock_that_was_wrong_changes_no_cool_down_and_no_count(strict: Params) -> None:
    history = [entry("2013-06", date="2099-01-01T00:00:00+00:00", seconds=1e9)]
    assert hindrance(strict, history) == ""


def test_several_months_in_a_row_where_the_settings_ask_for_it(strict: Params) -> None:
    drift = made.changed(strict, drift__open_after=2).drift
    first = policy.confirm("retrain", "2013-07", "a", [], drift)
    assert (first["streak"], first["retrain"]) == (1, False)
    again = policy.confirm("retrain", "2013-07", "a", [entry("2013-07")], drift)
    assert not again["retrain"], "the same month twice is one month"
    assert policy.confirm("retrain", "2013-08", "a", [entry("2013-07")], drift)["retrain"]
    assert not policy.confirm("retrain", "2013-08", "b", [entry("2013-07")], drift)["retrain"], "another champion"
    broken = [entry("2013-06"), entry("2013-07", "no")]
    assert not policy.confirm("retrain", "2013-08", "a", broken, drift)["retrain"]
    waited = [entry("2013-06"), entry("2013-07", "wait")]
    assert policy.confirm("retrain", "2013-08", "a", waited, drift)["retrain"], "a month without labels says nothing"


def test_an_open_proposal_is_withdrawn_by_a_no_and_not_by_doubt(strict: Params) -> None:
    history = [entry("2013-07")]
    assert policy.confirm("no", "2013-08", "a", history, strict.drift)["withdraw"]
    assert not policy.confirm("hold", "2013-08", "a", history, strict.drift)["withdraw"]
    patient = made.changed(strict, drift__close_after=2).drift
    assert not policy.confirm("no", "2013-08", "a", history, patient)["withdraw"]
    assert policy.confirm("no", "2013-09", "a", [*history, entry("2013-08", "no")], patient)["withdraw"]


@pytest.fixture(scope="module")
def streams() -> ModuleType:
    path = made.ROOT / "benchmarks" / "streams.py"
    spec = importlib.util.spec_from_file_location("streams", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("kind", ["none", "sudden", "recurring"])
def test_on_streams_whose_truth_is_known(kind: str, streams: ModuleType, strict: Params) -> None:
    """A few seeds of benchmarks/streams.py; docs/drift.md has the rates over a hundred."""
    settings = made.changed(strict, compare__resamples=400)

    def rule(windows: list[Window]) -> bool:
        return policy.judge(windows, settings.compare, settings.drift)["verdict"] == "retrain"

    truth, found = streams.outcomes(kind, range(8), {"policy": rule})
    retrain, worth = found["policy"], truth > streams.WORTH
    assert (retrain & (truth < streams.WORTHLESS)).mean() <= 0.08
    if kind != "none":
        answered = (retrain & worth).any(axis=1)
        assert answered[worth.any(axis=1)].mean() >= 0.7
