"""Features: raw tables to one row per flight offline, one request to one row online.

Only what is known an hour before departure may enter; `prepare` proves it with `known`.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from msgspec.structs import astuple

from problem.schema import BLOCK, KEY, LABEL, PERIOD, Request

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

REQUEST = Request.__struct_fields__
CALENDAR = ("day_of_week", "hour")  # no month: with less than a year of data it says which rows were trained on
FEATURES = (*CALENDAR, *REQUEST[1:])  # the model's columns, in this order

LATE = 15  # minutes
OUTCOMES = ["dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"]
WEATHER = ["temp", "dewp", "humid", "wind_dir", "wind_speed", "precip", "pressure", "visib"]
WIND_LIMIT = 200  # mph; anything above is a broken sensor


def calendar(when: datetime) -> tuple[int, int]:
    """Day of the week (Monday is 0) and hour of a scheduled departure."""
    return when.weekday(), when.hour


def row(request: Request) -> tuple:
    """One request as the model's columns, in the order of FEATURES."""
    scheduled, *rest = astuple(request)
    return (*calendar(scheduled), *rest)


def table(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """One row per flight: KEY, BLOCK, PERIOD, LABEL (NaN until known), REQUEST and FEATURES."""
    import numpy as np
    import pandas as pd

    flights = tables["flights"]
    out = flights[list(KEY)].copy()
    date = pd.to_datetime(flights[["year", "month", "day"]])
    place, days = pd.factorize(date)  # a day is worded once: days are few, and rows may be millions
    for name, form in ((BLOCK, "%Y-%m-%d"), (PERIOD, "%Y-%m")):
        out[name] = pd.DatetimeIndex(days).strftime(form).take(place)
    out[LABEL] = (flights["arr_delay"] >= LATE).astype(float).where(flights["arr_delay"].notna())

    departure = _minutes(flights["sched_dep_time"])
    out["scheduled"] = date + pd.to_timedelta(departure, unit="min")
    place, hours = pd.factorize(out["scheduled"].dt.floor("h"))
    at = [calendar(hour.to_pydatetime()) for hour in hours]
    out[list(CALENDAR)] = np.reshape(at, (-1, len(CALENDAR)))[place]

    out["dest"] = flights["dest"]
    out["distance"] = flights["distance"]
    out["duration"] = (_minutes(flights["sched_arr_time"]) - departure) % 1440
    out["departures"] = flights.groupby(["origin", "time_hour"])["flight"].transform("size")
    place, tails = pd.factorize(flights["tailnum"])
    planes = tables["planes"].set_index("tailnum").reindex(tails)
    for name, column in (("seats", "seats"), ("built", "year")):
        out[name] = pd.api.extensions.take(planes[column].to_numpy(float), place, allow_fill=True)

    weather = tables["weather"][["origin", "time_hour", *WEATHER]].copy()
    weather["wind_speed"] = weather["wind_speed"].where(weather["wind_speed"] <= WIND_LIMIT)
    weather["time_hour"] += timedelta(hours=1)  # the observation of an hour before
    out = out.merge(weather, on=["origin", "time_hour"], how="left", validate="many_to_one")

    rates = out.groupby(["origin", "carrier", BLOCK])[LABEL].mean().rename("late_rate").reset_index()
    rates[BLOCK] = (pd.to_datetime(rates[BLOCK]) + timedelta(days=1)).dt.strftime("%Y-%m-%d")
    out = out.merge(rates, on=["origin", "carrier", BLOCK], how="left", validate="many_to_one")

    numbers = [name for name in FEATURES if not pd.api.types.is_string_dtype(out[name])]
    out[numbers] = out[numbers].astype(float)
    return out


def known(tables: Mapping[str, pd.DataFrame], when: datetime) -> dict[str, pd.DataFrame]:
    """The tables as they stood at `when` (local, a full hour), over the days that `table` looks at.

    Schedules and fleet are published ahead. Outcomes come out when their day is over, an
    observation of the weather once its hour has begun.
    """
    import pandas as pd

    today = pd.Timestamp(when).normalize()
    date = pd.to_datetime(tables["flights"][["year", "month", "day"]])
    flights = tables["flights"][date.between(today - timedelta(days=1), today)].copy()
    flights.loc[date[flights.index] == today, OUTCOMES] = float("nan")
    observed = pd.to_datetime(tables["weather"][["year", "month", "day", "hour"]])
    weather = tables["weather"][observed.between(today - timedelta(days=1), when, inclusive="left")]
    return {**tables, "flights": flights.reset_index(drop=True), "weather": weather.reset_index(drop=True)}


def _minutes(clock: pd.Series) -> pd.Series:
    """Clock times as hhmm to minutes after midnight."""
    return clock // 100 * 60 + clock % 100
