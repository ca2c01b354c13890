"""The features, by hand: what they say, when they are known, and the same offline and online."""

from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from problem import BLOCK, FEATURES, KEY, LABEL, PERIOD, TIME, features

TEN = pd.Timestamp("2013-01-02 15:00", tz="UTC")  # ten o'clock in New York


def flights(*changes: dict[str, Any]) -> pd.DataFrame:
    """Flights at ten o'clock on 2 January, but for what is changed in each."""
    when = {"year": 2013, "month": 1, "day": 2, "hour": 10, "minute": 5, "time_hour": TEN}
    what = {"carrier": "UA", "origin": "EWR", "dest": "ORD", "distance": 719, "tailnum": "N1"}
    clock = {"sched_dep_time": 1005, "sched_arr_time": 1130, "dep_time": 1005.0, "arr_time": 1130.0}
    one = when | what | clock | {"dep_delay": 0.0, "arr_delay": 0.0, "air_time": 80.0}
    return pd.DataFrame([{**one, "flight": number, **change} for number, change in enumerate(changes)])


def weather(*changes: dict[str, Any]) -> pd.DataFrame:
    one = dict.fromkeys(features.WEATHER, 1.0) | {"origin": "EWR", "year": 2013, "month": 1, "day": 2, "hour": 10}
    return pd.DataFrame([{**one, "time_hour": TEN, **change} for change in changes])


def tables(departures: pd.DataFrame, observed: pd.DataFrame | None = None) -> dict[str, pd.DataFrame]:
    planes = pd.DataFrame({"tailnum": ["N1"], "seats": [149], "year": [2004.0]})
    return {"flights": departures, "weather": weather({}) if observed is None else observed, "planes": planes}


def of(*changes: dict[str, Any], observed: pd.DataFrame | None = None) -> pd.DataFrame:
    return features.table(tables(flights(*changes), observed))


@pytest.mark.parametrize(("delay", "late"), [(14.0, 0.0), (15.0, 1.0), (-20.0, 0.0), (np.nan, np.nan)])
def test_late_is_fifteen_minutes_and_unknown_where_nobody_arrived(delay: float, late: float) -> None:
    assert of({"arr_delay": delay})[LABEL].tolist() == pytest.approx([late], nan_ok=True)


@pytest.mark.parametrize(
    ("leaves", "arrives", "minutes"),
    [(1005, 1130, 85), (2330, 45, 75), (2359, 0, 1), (900, 900, 0), (1800, 1730, 1410)],
)
def test_the_duration_goes_over_midnight(leaves: int, arrives: int, minutes: int) -> None:
    assert of({"sched_dep_time": leaves, "sched_arr_time": arrives})["duration"].tolist() == [minutes]


def test_departures_counts_the_origin_s_hour() -> None:
    found = of({}, {}, {"origin": "JFK"}, {"time_hour": TEN + timedelta(hours=1)})
    assert found["departures"].tolist() == [2, 2, 1, 1]


def test_the_plane_is_looked_up_and_an_unknown_one_is_missing() -> None:
    found = of({}, {"tailnum": "N9"}, {"tailnum": None})
    assert found["seats"].tolist() == pytest.approx([149, np.nan, np.nan], nan_ok=True)
    assert found["built"].tolist() == pytest.approx([2004, np.nan, np.nan], nan_ok=True)


def test_the_weather_is_that_of_an_hour_before_at_the_same_airport() -> None:
    observed = weather(
        {"temp": 50.0},
        {"temp": 40.0, "time_hour": TEN - timedelta(hours=1)},
        {"temp": 30.0, "time_hour": TEN - timedelta(hours=1), "origin": "LGA"},
    )
    assert of({}, {"origin": "JFK"}, observed=observed)["temp"].tolist() == pytest.approx([40, np.nan], nan_ok=True)


@pytest.mark.parametrize(("measured", "taken"), [(200.0, 200.0), (1048.4, np.nan)])
def test_a_hurricane_of_a_thousand_miles_an_hour_is_a_broken_sensor(measured: float, taken: float) -> None:
    observed = weather({"time_hour": TEN - timedelta(hours=1), "wind_speed": measured})
    assert of({}, observed=observed)["wind_speed"].tolist() == pytest.approx([taken], nan_ok=True)


def test_the_late_rate_is_that_of_the_day_before_at_the_same_origin_and_carrier() -> None:
    yesterday = {"day": 1, "time_hour": TEN - timedelta(days=1)}
    found = of(
        {},
        {"carrier": "AA"},
        yesterday | {"arr_delay": 30.0},
        yesterday | {"arr_delay": 0.0},
        yesterday | {"arr_delay": np.nan},
        yesterday | {"arr_delay": 99.0, "origin": "JFK"},
    )
    assert found["late_rate"].tolist()[:2] == pytest.approx([0.5, np.nan], nan_ok=True)
    assert found["late_rate"].iloc[2:].isna().all(), "of the first day nothing came before"


def test_one_row_per_flight_with_a_day_a_month_and_numbers(
    some: dict[str, pd.DataFrame], examples: pd.DataFrame
) -> None:
    assert len(examples) == len(some["flights"])
    assert not examples.duplicated(list(KEY)).any()
    assert set(examples.columns) == {*KEY, BLOCK, PERIOD, LABEL, TIME, *FEATURES}
    assert {
        str(kind) for kind in examples[[name for name in FEATURES if name not in KEY and name != "dest"]].dtypes
    } == {"float64"}


def test_the_calendar_is_that_of_the_scheduled_departure() -> None:
    assert features.calendar(datetime(2013, 6, 16, 17, 5)) == (6, 17)
    found = of({})
    assert found[["day_of_week", "hour"]].to_numpy().tolist() == [[2, 10]]
    assert found[TIME].tolist() == [pd.Timestamp("2013-01-02 10:05")]


@pytest.mark.parametrize("clock", [2400, 0])
def test_midnight_may_be_written_either_way(clock: int) -> None:
    hour = of({"sched_dep_time": clock})["hour"].tolist()
    assert hour == [0]


def test_what_is_known_at_an_hour_has_no_outcome_of_the_day_and_no_weather_of_the_hour() -> None:
    yesterday = {"day": 1, "time_hour": TEN - timedelta(days=1)}
    tomorrow = {"day": 3, "time_hour": TEN + timedelta(days=1)}
    all_of_it = tables(flights({}, yesterday, tomorrow), weather({}, {"hour": 9}, {"hour": 11}, {"day": 1, "hour": 23}))
    then = features.known(all_of_it, datetime(2013, 1, 2, 10))
    assert then["flights"]["day"].tolist() == [2, 1], "today's and yesterday's"
    today = then["flights"]["day"] == 2
    assert then["flights"].loc[today, features.OUTCOMES].isna().all(axis=None)
    assert then["flights"].loc[~today, features.OUTCOMES].notna().all(axis=None)
    assert then["flights"].loc[today, "sched_dep_time"].notna().all(), "the schedule is published ahead"
    assert then["weather"][["day", "hour"]].to_numpy().tolist() == [[2, 9], [1, 23]]
    assert all_of_it["flights"]["arr_delay"].notna().all(), "what was handed in is not changed"
