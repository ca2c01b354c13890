"""Compute features: from raw tables one row per flight (offline), from a request one row (online).

Use only what is known an hour before departure; `prepare` checks it with `known`.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from msgspec.structs import astuple

from problem.schema import BLOCK, KEY, LABEL, PERIOD, Request

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import pandas as pd

REQUEST = Request.__struct_fields__
CALENDAR = ("day_of_week", "hour")  # no month: with less than a year of data it only identifies the training rows
FEATURES = (*CALENDAR, *REQUEST[1:])  # the model's columns, in this order

LATE = 15  # minutes of delay from which an arrival counts as late
OUTCOMES = ["dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"]
WEATHER = ["temp", "dewp", "humid", "wind_dir", "wind_speed", "precip", "pressure", "visib"]
WIND_LIMIT = 200  # mph; anything above is a broken sensor


def calendar(when: datetime) -> tuple[int, int]:
    """Return day of the week (Monday is 0) and hour of a scheduled departure."""
    return when.weekday(), when.hour


def row(request: Request) -> tuple[float | str | None, ...]:
    """Return a request as the model's columns, in the order of FEATURES."""
    scheduled, *rest = astuple(request)
    return (*calendar(scheduled), *rest)


def table(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return one row per flight: KEY, BLOCK, PERIOD, LABEL (NaN until known), REQUEST and FEATURES.

    Compute what depends on a day, an hour or a plane once for each of them: they are few, flights are millions.
    """
    import numpy as np
    import pandas as pd

    flights = tables["flights"]
    out: dict[str, Any] = {name: flights[name] for name in KEY}
    place, days = _distinct(flights, ["year", "month", "day"])
    date = pd.to_datetime(days)
    for name, form in ((BLOCK, "%Y-%m-%d"), (PERIOD, "%Y-%m")):
        out[name] = date.dt.strftime(form).array.take(place)
    out[LABEL] = (flights["arr_delay"] >= LATE).astype(float).where(flights["arr_delay"].notna())

    departure = _minutes(flights["sched_dep_time"])
    out["scheduled"] = date.to_numpy()[place] + pd.to_timedelta(departure, unit="min")
    place, hours = pd.factorize(out["scheduled"].dt.floor("h"))
    at = np.array([calendar(hour.to_pydatetime()) for hour in hours], float).reshape(-1, len(CALENDAR))
    for name, values in zip(CALENDAR, at.T, strict=True):
        out[name] = values[place]

    out["dest"] = flights["dest"]
    out["distance"] = flights["distance"].astype(float)
    out["duration"] = ((_minutes(flights["sched_arr_time"]) - departure) % 1440).astype(float)
    place, hours = _distinct(flights, ["origin", "time_hour"])
    out["departures"] = np.bincount(place).astype(float)[place]
    tail, tails = pd.factorize(flights["tailnum"])
    planes = tables["planes"].set_index("tailnum").reindex(tails)
    for name, column in (("seats", "seats"), ("built", "year")):
        out[name] = pd.api.extensions.take(planes[column].to_numpy(float), tail, allow_fill=True)

    weather = tables["weather"][["origin", "time_hour", *WEATHER]].copy()
    weather["wind_speed"] = weather["wind_speed"].where(weather["wind_speed"] <= WIND_LIMIT)
    weather["time_hour"] += timedelta(hours=1)  # the observation of an hour before
    weather = hours.merge(weather, how="left", validate="one_to_one")
    for name in WEATHER:
        out[name] = weather[name].to_numpy(float)[place]

    place, groups = _distinct(out, ["origin", "carrier", BLOCK])
    rates = groups.assign(late_rate=out[LABEL].groupby(place).mean())
    rates[BLOCK] = (pd.to_datetime(rates[BLOCK]) + timedelta(days=1)).dt.strftime("%Y-%m-%d")
    out["late_rate"] = groups.merge(rates, how="left", validate="one_to_one")["late_rate"].to_numpy()[place]
    return pd.DataFrame(out, copy=False)


def known(tables: Mapping[str, pd.DataFrame], when: datetime) -> dict[str, pd.DataFrame]:
    """Return the tables as they stood at `when` (local, a full hour), for the days that `table` needs.

    Schedules and fleet are known in advance. Outcomes become known when their day is over, a weather
    observation once the hour after it has begun.
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
    """Return clock times (hhmm) as minutes after midnight."""
    return clock // 100 * 60 + clock % 100


def _distinct(rows: pd.DataFrame | Mapping[str, Any], names: list[str]) -> tuple[np.ndarray, pd.DataFrame]:
    """Return each row's index among the distinct values of these columns, and those values in order of appearance."""
    import numpy as np
    import pandas as pd

    places, values = zip(*(pd.factorize(rows[name], use_na_sentinel=False) for name in names), strict=True)
    sizes = [len(distinct) for distinct in values]
    place, codes = pd.factorize(np.asarray(np.ravel_multi_index(places, sizes)))
    at = zip(names, values, np.unravel_index(codes, sizes), strict=True)
    return place, pd.DataFrame({name: distinct.take(codes) for name, distinct, codes in at})
