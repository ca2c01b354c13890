"""Rows split by time, and no feature that knows the future."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from delivery.core import files, workspace
from delivery.core.errors import Failure
from delivery.core.params import Params
from delivery.data import windows
from delivery.pipeline import leakage, prepare
from problem import BLOCK, FEATURES, KEY, LABEL, PERIOD, features, table

Tables = Mapping[str, pd.DataFrame]


def departure_delay(tables: Tables) -> pd.DataFrame:
    """The delay at departure, which is known when the flight has left, as the duration."""
    rows = table(tables)
    return rows.assign(duration=rows["duration"] + tables["flights"]["dep_delay"].fillna(0).to_numpy())


def late_rate_of_the_day(tables: Tables) -> pd.DataFrame:
    rows = table(tables)
    return rows.assign(late_rate=rows.groupby(["origin", "carrier", BLOCK])[LABEL].transform("mean"))


def weather_of_the_hour(tables: Tables) -> pd.DataFrame:
    """The observation of the hour itself instead of the hour before."""
    weather = tables["weather"].assign(time_hour=tables["weather"]["time_hour"] - timedelta(hours=1))
    return table({**tables, "weather": weather})


def weather_without_a_lag(tables: Tables) -> pd.DataFrame:
    rows = table(tables).drop(columns=features.WEATHER)
    return rows.merge(tables["weather"][["origin", "time_hour", *features.WEATHER]], how="left")


def target_encoding_of_all_data(tables: Tables) -> pd.DataFrame:
    rows = table(tables)
    return rows.assign(seats=rows.groupby("dest")[LABEL].transform("mean"))


def scaling_by_all_data(tables: Tables) -> pd.DataFrame:
    rows = table(tables)
    return rows.assign(distance=rows["distance"] / rows["distance"].mean())


def arrival_of_the_plane_before(tables: Tables) -> pd.DataFrame:
    """The delay with which the plane came in, also where it came in later than an hour before departure."""
    rows = table(tables)
    plane = tables["flights"]["tailnum"]
    return rows.assign(built=tables["flights"]["arr_delay"].groupby(plane).shift().to_numpy())


LEAKS: dict[Callable[[Tables], pd.DataFrame], str] = {
    departure_delay: "duration",
    late_rate_of_the_day: "late_rate",
    weather_of_the_hour: "temp",
    weather_without_a_lag: "temp",
    target_encoding_of_all_data: "seats",
    scaling_by_all_data: "distance",
    arrival_of_the_plane_before: "built",
}


@pytest.mark.parametrize(("leaking", "feature"), LEAKS.items(), ids=[leak.__name__ for leak in LEAKS])
def test_a_feature_that_knows_the_future_is_refused_and_named(
    leaking: Callable[[Tables], pd.DataFrame],
    feature: str,
    some: dict[str, pd.DataFrame],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(leakage, "table", leaking)
    with pytest.raises(Failure, match=r"is not known at prediction time: for \d+ rows of 2013-") as failure:
        leakage.refuse_leaks(some, leaking(some))
    named = str(failure.value).removeprefix("feature ").split(" is not")[0].split(", ")
    assert feature in named
    assert set(named) <= set(FEATURES)


def test_honest_features_pass(some: dict[str, pd.DataFrame], examples: pd.DataFrame) -> None:
    leakage.refuse_leaks(some, examples)


def test_a_feature_that_only_adds_up_the_schedule_passes(some, monkeypatch: pytest.MonkeyPatch) -> None:
    def honest(tables: Tables) -> pd.DataFrame:
        rows = table(tables)
        return rows.assign(distance=rows.groupby([BLOCK, "origin"])["flight"].transform("size"))

    monkeypatch.setattr(leakage, "table", honest)
    leakage.refuse_leaks(some, honest(some))


def test_rows_that_known_hides_are_no_leak_but_a_fault_of_known(
    some, examples, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_little(tables: Tables, when: datetime) -> Tables:
        return {**tables, "flights": tables["flights"][tables["flights"]["time_hour"] < pd.Timestamp(when, tz="UTC")]}

    monkeypatch.setattr(leakage, "known", too_little)
    with pytest.raises(Failure, match=r"`known` at 2013-.* lacks (\d+) of the \1 rows of the hour"):
        leakage.refuse_leaks(some, examples)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda rows: rows.drop(columns=[BLOCK, "seats"]), f"lacks {BLOCK}, seats; fix `table`"),
        (lambda rows: rows.assign(seats="many"), "has no numbers in seats; a feature of text belongs to CATEGORIES"),
        (lambda rows: rows.assign(**{LABEL: "yes"}), f"has no numbers in {LABEL}"),
        (lambda rows: pd.concat([rows, rows[:3]]), r"repeats time_hour, carrier, flight, origin in 3 row\(s\)"),
    ],
    ids=["absent", "feature", "label", "key"],
)
def test_a_table_that_is_not_as_the_schema_says_is_refused_and_named(
    spoil: Callable[[pd.DataFrame], pd.DataFrame], says: str, examples: pd.DataFrame
) -> None:
    def check(rows: pd.DataFrame) -> None:
        windows.refuse_misfit(rows)
        windows.refuse_twice(rows)

    check(examples)
    with pytest.raises(Failure, match=f"the table of features {says}"):
        check(spoil(examples))


def test_the_stage_refuses_a_leak_and_keeps_what_was_there(
    project: Path, settings: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = files.digest(workspace.PREPARED)
    for module in (prepare, leakage):
        monkeypatch.setattr(module, "table", departure_delay)
    with pytest.raises(Failure, match="feature duration is not known at prediction time"):
        prepare.run(settings)
    assert files.digest(workspace.PREPARED) == before


@pytest.mark.parametrize(("count", "test_months"), [(1, ["2013-03"]), (2, ["2013-02", "2013-03"])])
def test_the_newest_months_are_the_test_rows(count: int, test_months: list[str], examples: pd.DataFrame) -> None:
    train, test = prepare.split(examples, count)
    assert sorted(test[PERIOD].unique()) == test_months
    assert train[PERIOD].max() < test[PERIOD].min()
    assert len(train) + len(test) == examples[LABEL].notna().sum()
    assert not train.duplicated(list(KEY)).any()


@pytest.mark.parametrize("count", [3, 4])
def test_a_split_that_leaves_nothing_to_train_on_is_refused(count: int, examples: pd.DataFrame) -> None:
    with pytest.raises(
        Failure, match=rf"prepare\.test_periods is {count} and the data hold 3 period.*lower it or fetch more"
    ):
        prepare.split(examples, count)


def test_a_month_without_labels_is_no_test_month(examples: pd.DataFrame) -> None:
    unlabelled = examples.assign(**{LABEL: examples[LABEL].where(examples[PERIOD] < "2013-03")})
    assert sorted(prepare.split(unlabelled, 1)[1][PERIOD].unique()) == ["2013-02"]


def test_the_stage_writes_the_same_bytes_again(project: Path, settings: Params, capsys) -> None:
    before = files.digest(workspace.PREPARED)
    prepare.run(settings)
    assert files.digest(workspace.PREPARED) == before
    assert "train rows, 2013-01 to 2013-01, base rate 0." in capsys.readouterr().out
