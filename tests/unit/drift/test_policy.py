"""The policy: which gains lead to a retraining, and what forbids it."""

import importlib.util
from types import ModuleType
from typing import Any

import made
import numpy as np
import pytest
from msgspec.structs import asdict

from delivery.core.params import Params
from delivery.drift import policy
from delivery.drift.policy import Window
from delivery.drift.verdicts import Calibration, Confirmation, LogEntry

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
    """A period of 30 days with 100 rows each; the daily mean gain has exactly this mean and standard deviation."""
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
        ([window(0.01, 0.04, month) for month in (6, 7, 8, 9)], "retrain", "pooled over the 4 periods that agree, 2013-06 to"),
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
    assert found.verdict == verdict
    assert why in found.why


def gains(*daily: float, rows: float = 100.0, month: str = "2013-07", gaps: Any = 0.0, remains: Any = 0.0) -> Window:
    """A period with one day for each gain, which is the mean of the day's rows."""
    number = np.full(len(daily), rows)
    return Window(month, number, rows * np.array(daily), gaps * number, remains * number)


def steady(gain: float, **values: Any) -> Window:
    """A period whose days all gain the same, so that its interval has no width."""
    return gains(*[gain] * 4, **values)


SURE = "[{0:+.4f}, {0:+.4f}]"


@pytest.mark.parametrize(
    ("windows", "verdict", "why"),
    [
        (
            [steady(0.25)],
            "retrain",
            f"a challenger gains +0.2500 {SURE.format(0.25)} {policy.UNIT} on 400 rows: beyond noise",
        ),
        (
            [steady(0.0)],
            "no",
            f"a challenger gains +0.0000 {SURE.format(0.0)} {policy.UNIT} on 400 rows: within noise; calibration gap +0.0000",
        ),
        (
            [steady(-0.25)],
            "no",
            f"a challenger gains -0.2500 {SURE.format(-0.25)} {policy.UNIT} on 400 rows: "
            "beyond noise worse than the champion; calibration gap +0.0000",
        ),
        (
            [steady(0.002)],
            "no",
            f"a challenger gains +0.0020 {SURE.format(0.002)} {policy.UNIT} on 400 rows: "
            "less than drift.min_gain 0.003; calibration gap +0.0000",
        ),
        (
            [steady(0.001, gaps=0.08, remains=0.01)],
            "retrain",
            f"calibration broke: gap +0.0800 {SURE.format(0.08)}, limit ±0.05, and a challenger closes at least half of it; "
            f"a challenger gains +0.0010 {SURE.format(0.001)} {policy.UNIT} on 400 rows",
        ),
        (
            [steady(0.0, gaps=0.08, remains=0.01)],
            "no",
            f"a challenger gains +0.0000 {SURE.format(0.0)} {policy.UNIT} on 400 rows: within noise; calibration gap +0.0800",
        ),
    ],
    ids=["proven", "nothing", "worse", "too little", "calibration", "calibration without a gain"],
)
def test_a_verdict_that_is_certain_word_by_word(windows: list[Window], verdict: str, why: str, strict: Params) -> None:
    found = policy.judge(windows, strict.compare, strict.drift)
    assert (found.verdict, found.why) == (verdict, why)


def test_a_gain_of_exactly_min_gain_counts(strict: Params) -> None:
    drift = made.changed(strict, drift__min_gain=0.25).drift
    assert policy.judge([steady(0.25)], strict.compare, drift).verdict == "retrain"
    doubtful = gains(1.25, -0.75, 1.25, -0.75)
    assert policy.judge([doubtful], strict.compare, drift).verdict == "hold"


def test_min_gain_applies_to_the_pooled_periods_too(strict: Params) -> None:
    drift = made.changed(strict, drift__min_gain=0.25).drift
    before = steady(0.25, rows=100_000.0, month="2013-06")
    found = policy.judge([before, gains(1.25, -0.75, 1.25, -0.75)], strict.compare, drift)
    assert (found.verdict, found.pooled.periods) == ("retrain", ("2013-06", "2013-07"))


def test_an_interval_that_begins_at_zero_is_not_beyond_noise(strict: Params) -> None:
    """One day of four gains: a third of all resamples miss it, so the interval begins at zero itself."""
    one = gains(1.0, 0.0, 0.0, 0.0)
    found = policy.judge([one], strict.compare, strict.drift)
    assert (found.verdict, found.newest.low) == ("hold", 0.0)
    before = steady(0.25, rows=100_000.0, month="2013-06")
    assert policy.judge([before, one], strict.compare, strict.drift).verdict == "retrain"


def test_a_certain_newest_period_is_not_pooled(strict: Params) -> None:
    found = policy.judge([steady(0.25, month="2013-06"), steady(0.25)], strict.compare, strict.drift)
    assert found.pooled == found.newest
    assert found.newest.periods == ("2013-07",)


def test_a_gain_that_is_pooled_is_judged_by_the_level_of_the_decision(strict: Params) -> None:
    """The periods' own interval is 90 %; at the 95 % of `compare` the same periods are not enough."""
    windows = [window(0.01, 0.05, month) for month in (7, 8)]
    found = policy.judge(windows, strict.compare, strict.drift)
    decided = policy.pool(windows, policy.decisive(strict.compare, strict.drift))
    assert found.pooled == decided
    assert policy.pool(windows, strict.compare).low < found.pooled.low
    assert found.newest == policy.pool(windows[-1:], policy.decisive(strict.compare, strict.drift))
    assert found.calibration == policy.calibration(windows[-1], strict.compare)
    alone = f"a challenger gains {policy.span(found.newest)} {policy.UNIT} on 3,000 rows"
    over = f"pooled over the 2 periods that agree, 2013-07 to 2013-08: {policy.span(decided)}"
    beyond = decided.low > 0
    assert found.verdict == ("retrain" if beyond else "hold")
    assert found.why == (
        f"{alone}; {over}, beyond noise" if beyond else f"{alone}; {over}: within noise; calibration gap +0.0000"
    )


def test_doubt_about_a_single_period_names_no_others(strict: Params) -> None:
    found = policy.judge([window(0.01, 0.06)], strict.compare, strict.drift)
    alone = f"a challenger gains {policy.span(found.newest)} {policy.UNIT} on 3,000 rows"
    assert found.why == f"{alone}: within noise; calibration gap +0.0000"


def test_the_level_of_a_decision_is_that_of_drift(strict: Params) -> None:
    level = policy.decisive(strict.compare, strict.drift)
    assert level.confidence == 0.9
    assert (level.seed, level.resamples) == (strict.compare.seed, strict.compare.resamples)


def test_a_pooled_gain_is_per_row(strict: Params) -> None:
    windows = [steady(0.5, rows=300.0, month="2013-06"), steady(0.1)]
    found = policy.pool(windows, strict.compare)
    assert asdict(found) == {
        "periods": ("2013-06", "2013-07"),
        "rows": 1600,
        "gain": pytest.approx(0.4),
        "low": pytest.approx(0.4),
        "high": pytest.approx(0.4),
    }


def test_periods_are_resampled_independently_and_the_newest_as_in_compare(strict: Params) -> None:
    """An older period's resamples depend on its age alone, so that it contributes the same to every pool."""
    older, newest = window(0.01, 0.02, 6), window(0.01, 0.02, 7)
    size, seed = strict.compare.resamples, strict.compare.seed
    each = []
    for one, chosen in ((older, [seed, 1]), (newest, seed)):
        draws = np.random.default_rng(chosen).multinomial(DAYS, np.full(DAYS, 1 / DAYS), size=size)
        each.append((draws @ one.gains) / (draws @ one.rows))
    assert policy.samples([older, newest], strict.compare) == pytest.approx((each[0] + each[1]) / 2)
    assert policy.means(newest, newest.gains, strict.compare) == pytest.approx(each[1])


def test_agreement_is_judged_by_days_resampled_within_each_period(
    strict: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gains that differ by just less than the interval agree; the older period is resampled by its own age."""
    ages: list[int] = []
    drawn = policy.means

    def means(window: Window, sums: np.ndarray, compare: Any, age: int = 0) -> np.ndarray:
        ages.append(age)
        return drawn(window, sums, compare, age)

    monkeypatch.setattr(policy, "means", means)
    same = [window(0.01, 0.02, month) for month in (5, 6, 7)]
    assert policy.agreeing(same, strict.compare) == same
    assert ages == [0, 1, 1, 0, 2], "the newest, the one before; then both, and the one before them"


@pytest.mark.parametrize(("older", "agrees"), [(0.25, True), (0.5, False), (0.125, False)])
def test_certain_periods_agree_only_if_they_are_equal(older: float, agrees: bool, strict: Params) -> None:
    windows = [steady(older, month="2013-06"), steady(0.25)]
    assert len(policy.agreeing(windows, strict.compare)) == 1 + agrees


@pytest.mark.parametrize(("apart", "agree"), [(0.0135, True), (0.02, False)])
def test_periods_agree_within_an_interval_of_80_percent(apart: float, agree: bool, strict: Params) -> None:
    """The difference has a standard error of 0.013: 60 % would part the first two, 95 % would pool the others."""
    windows = [window(0.01 + apart, 0.05, 6), window(0.01, 0.05, 7)]
    assert (len(policy.agreeing(windows, strict.compare)) == 2) is agree


def test_the_calibration_gap_of_a_single_prediction(strict: Params) -> None:
    one = gains(0.0, 0.0, 0.0, rows=10.0, gaps=np.array([0.1, 0.2, 0.3]), remains=np.array([0.03, 0.0, 0.03]))
    found = policy.calibration(one, strict.compare)
    draws = policy.means(one, one.gaps, strict.compare)
    low, high = np.quantile(draws, [0.025, 0.975])
    assert asdict(found) == {
        "gap": pytest.approx(0.2),
        "low": pytest.approx(low),
        "high": pytest.approx(high),
        "challenger": pytest.approx(0.02),
    }


def test_the_calibration_gap_of_classes_is_that_of_the_one_furthest_off(strict: Params) -> None:
    """Its interval holds for all classes at once: of three, each at a third of the error."""
    rows = np.array([10.0, 20.0, 10.0])
    gaps = np.array([[0.1, -0.3, 0.2], [0.0, -0.2, 0.2], [0.1, -0.1, 0.0]]) * rows[:, None]
    remains = np.array([[0.0, 0.5, 0.0], [0.0, 0.1, 0.0], [0.0, 0.1, 0.0]]) * rows[:, None]
    one = Window("2013-07", rows, np.zeros(3), gaps, remains)
    found = policy.calibration(one, strict.compare)
    draws = policy.means(one, gaps[:, 1], strict.compare)
    low, high = np.quantile(draws, [0.05 / 6, 1 - 0.05 / 6])
    assert asdict(found) == {
        "gap": pytest.approx(-0.2),
        "low": pytest.approx(low),
        "high": pytest.approx(high),
        "challenger": pytest.approx(0.2),
    }


@pytest.mark.parametrize(
    ("gap", "low", "high", "challenger", "broken"),
    [
        (0.25, 0.2, 0.3, 0.0, True),
        (-0.25, -0.3, -0.2, 0.0, True),
        (0.25, 0.1, 0.4, 0.0, False),  # the limit itself
        (-0.25, -0.4, -0.1, 0.0, False),
        (0.25, 0.2, 0.3, 0.125, False),  # half of it is left, in either direction
        (0.25, 0.2, 0.3, -0.125, False),
        (-0.25, -0.3, -0.2, 0.12, True),
        (0.25, 0.2, 0.3, -0.12, True),
    ],
)
def test_calibration_is_broken_beyond_the_limit_and_if_a_challenger_halves_the_gap(
    gap: float, low: float, high: float, challenger: float, broken: bool
) -> None:
    assert policy.broken(Calibration(gap, low, high, challenger), 0.1) is broken


def test_pooling_stops_at_the_first_period_that_disagrees(strict: Params) -> None:
    windows = [window(0.01, 0.02, 5), window(0.08, 0.02, 6), window(0.01, 0.03, 7), window(0.01, 0.03, 8)]
    assert [each.period for each in policy.agreeing(windows, strict.compare)] == ["2013-07", "2013-08"]


def test_the_interval_is_that_of_compare(strict: Params) -> None:
    import pandas as pd

    from delivery.stats.bootstrap import blocks, interval, means

    one = window(0.01, 0.02)
    grouped = blocks(pd.Series(np.arange(DAYS)), strict.compare.resamples, strict.compare.seed)
    expected = interval(means(one.gains / 100, grouped), strict.compare.confidence)
    found = policy.pool([one], strict.compare)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


@pytest.mark.parametrize(
    ("rows", "labelled", "days", "why"),
    [
        (0, 0, 0, "there are no rows"),
        (9000, 0, 0, "9,000 rows and none has a label yet"),
        (9000, 4999, 30, "4,999 labelled rows are fewer than drift.min_rows 5,000"),
        (9000, 9000, 13, "labels of 13 days are fewer than drift.min_days 14: the period is not over"),
        (9000, 5000, 14, ""),
        (1, 1, 30, "1 labelled rows are fewer than drift.min_rows 5,000"),
    ],
)
def test_a_period_that_cannot_be_judged_yet(rows: int, labelled: int, days: int, why: str, strict: Params) -> None:
    assert policy.unready(rows, labelled, days, strict.drift) == why


@pytest.mark.parametrize(
    ("days", "usual", "over"), [(15, 30.5, False), (28, 31.0, True), (7, 7.0, True), (6, 7.0, False)]
)
def test_the_newest_period_is_over_once_it_has_the_usual_days(days: int, usual: float, over: bool) -> None:
    assert (policy.unfinished(days, usual) == "") == over


def entry(period: str, verdict: str = "retrain", **values: Any) -> LogEntry:
    usual: dict[str, Any] = {
        "date": "2013-08-02T05:17:00+00:00",
        "retrain": verdict == "retrain",
        "champion": "a",
        "seconds": 60.0,
    }
    return LogEntry(period=period, verdict=verdict, **usual | values)


def hindrance(strict: Params, history: list[LogEntry], month: str = "2013-08", **changes: Any) -> str:
    changed = made.changed(strict, **changes)
    return policy.hindrance(history, month, PERIODS, "2013-07", changed.drift)


def spent(strict: Params, history: list[LogEntry], minutes: float) -> str:
    return policy.spent(history, "2013-08-09", made.changed(strict, drift__minutes_per_month=minutes).drift)


def test_nothing_hinders_the_first_retraining(strict: Params) -> None:
    assert hindrance(strict, []) == ""


def test_cool_down(strict: Params) -> None:
    assert "1 of 2 periods have passed since 2013-07 (drift.cooldown)" in hindrance(strict, [], drift__cooldown=2)
    assert hindrance(strict, [], month="2013-09", drift__cooldown=2) == ""


def test_the_budget_of_runs_counts_periods_not_checks(strict: Params) -> None:
    history = [entry("2013-06"), entry("2013-07"), entry("2013-07"), entry("2013-08")]
    assert hindrance(strict, history, drift__runs_per_year=3) == ""
    assert "2 retrainings within a year" in hindrance(strict, history, drift__runs_per_year=2)


def test_the_budget_of_minutes_is_the_calendar_months(strict: Params) -> None:
    history = [entry("2013-06", "no", seconds=3000.0, date="2013-07-31"), entry("2013-07", "no", seconds=600.0)]
    assert spent(strict, history, 11) == ""
    assert "10.0 compute minutes this month" in spent(strict, history, 10)
    assert spent(strict, history, 0) == "", "that is a hindrance for good"


def test_each_hindrance_is_a_sentence(strict: Params) -> None:
    assert hindrance(strict, [], drift__cooldown=2) == "1 of 2 periods have passed since 2013-07 (drift.cooldown)"
    runs = [entry("2013-06"), entry("2013-07")]
    expected = "2 retrainings within a year are all that drift.runs_per_year allows"
    assert hindrance(strict, runs, drift__runs_per_year=2) == expected
    checks = [entry("2013-07", "no", seconds=660.0), entry("2013-07", "no", seconds=660.0)]
    expected = "22.0 compute minutes this month are all that drift.minutes_per_month 21.5 allows"
    assert spent(strict, checks, 21.5) == expected
    expected = "drift.minutes_per_month is 0: no challenger is trained"
    assert hindrance(strict, [], drift__minutes_per_month=0.0) == expected


def test_a_year_of_retrainings_is_a_year_of_periods(strict: Params) -> None:
    """Count the retrainings of the last twelve periods; not this one's, nor one a year ago, nor one of an unknown period."""
    periods = [f"{year}-{month:02d}" for year in (2012, 2013) for month in range(1, 13)]

    def hindered(*months: str) -> bool:
        drift = made.changed(strict, drift__runs_per_year=1, drift__periods_per_year=12).drift
        return bool(policy.hindrance([entry(m) for m in months], "2013-08", periods, "2013-07", drift))

    assert hindered("2012-09")
    assert hindered("2013-07")
    assert not hindered("2012-08")
    assert not hindered("2013-08")
    assert not hindered("2013-09")
    assert not hindered("2011-12"), "before the first period there is"
    first = made.changed(strict, drift__runs_per_year=1, drift__periods_per_year=12, drift__cooldown=0).drift
    assert policy.hindrance([entry("2011-12")], "2012-01", periods, "2012-01", first) == ""


def test_a_clock_that_was_wrong_changes_no_cool_down_and_no_count(strict: Params) -> None:
    history = [entry("2013-06", date="2099-01-01T00:00:00+00:00", seconds=1e9)]
    assert hindrance(strict, history) == ""
    assert spent(strict, history, 1) == ""


def test_open_after_asks_for_several_periods_in_a_row(strict: Params) -> None:
    drift = made.changed(strict, drift__open_after=2).drift
    first = policy.confirm("retrain", "2013-07", "a", [], drift)
    assert (first.streak, first.retrain) == (1, False)
    again = policy.confirm("retrain", "2013-07", "a", [entry("2013-07")], drift)
    assert not again.retrain, "the same month twice is one month"
    assert policy.confirm("retrain", "2013-08", "a", [entry("2013-07")], drift).retrain
    assert not policy.confirm("retrain", "2013-08", "b", [entry("2013-07")], drift).retrain, "another champion"
    broken = [entry("2013-06"), entry("2013-07", "no")]
    assert not policy.confirm("retrain", "2013-08", "a", broken, drift).retrain
    waited = [entry("2013-06"), entry("2013-07", "wait")]
    assert policy.confirm("retrain", "2013-08", "a", waited, drift).retrain, "a month without labels says nothing"


def test_the_streak_ends_at_a_period_with_another_verdict(strict: Params) -> None:
    history = [entry("2013-04"), entry("2013-05", "hold"), entry("2013-06"), entry("2013-07"), entry("2013-09", "no")]
    assert policy.confirm("retrain", "2013-08", "a", history, strict.drift) == Confirmation(
        streak=3, retrain=True, withdraw=False
    )
    doubt = [entry("2013-06", "hold"), entry("2013-07", "hold")]
    assert policy.confirm("hold", "2013-08", "a", doubt, strict.drift) == Confirmation(
        streak=3, retrain=False, withdraw=False
    )
    refused = [entry("2013-06", "no"), entry("2013-07", "no")]
    patient = made.changed(strict, drift__close_after=3).drift
    assert policy.confirm("no", "2013-08", "a", refused, patient) == Confirmation(
        streak=3, retrain=False, withdraw=True
    )


def test_a_no_withdraws_an_open_proposal_and_doubt_does_not(strict: Params) -> None:
    history = [entry("2013-07")]
    assert policy.confirm("no", "2013-08", "a", history, strict.drift).withdraw
    assert not policy.confirm("hold", "2013-08", "a", history, strict.drift).withdraw
    patient = made.changed(strict, drift__close_after=2).drift
    assert not policy.confirm("no", "2013-08", "a", history, patient).withdraw
    assert policy.confirm("no", "2013-09", "a", [*history, entry("2013-08", "no")], patient).withdraw


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
def test_verdicts_on_streams_with_known_truth(kind: str, streams: ModuleType, strict: Params) -> None:
    """A few seeds of benchmarks/streams.py; docs/explanation/drift.md has the rates over a hundred."""
    settings = made.changed(strict, compare__resamples=400)

    def rule(windows: list[Window]) -> bool:
        return policy.judge(windows, settings.compare, settings.drift).verdict == "retrain"

    truth, found = streams.outcomes(kind, range(8), {"policy": rule})
    retrain, worth = found["policy"], truth > streams.WORTH
    assert (retrain & (truth < streams.WORTHLESS)).mean() <= 0.08
    if kind != "none":
        answered = (retrain & worth).any(axis=1)
        assert answered[worth.any(axis=1)].mean() >= 0.7
