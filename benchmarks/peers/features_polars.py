"""The features of flights in polars, lazily and streamed: DATA OUT."""

import sys
from pathlib import Path

import polars as pl

WEATHER = ["temp", "dewp", "humid", "wind_dir", "wind_speed", "precip", "pressure", "visib"]
data, out = map(Path, sys.argv[1:])


def minutes(name: str) -> pl.Expr:
    return pl.col(name) // 100 * 60 + pl.col(name) % 100


flights = pl.scan_parquet(data / "flights" / "*.parquet").with_columns(
    date=pl.date("year", "month", "day"),
    late=(pl.col("arr_delay") >= 15).cast(pl.Float64),
    departure=minutes("sched_dep_time"),
)
planes = pl.scan_parquet(data / "planes.parquet").select("tailnum", "seats", built="year")
weather = pl.scan_parquet(data / "weather" / "*.parquet").select(
    "origin",
    pl.col("time_hour") + pl.duration(hours=1),
    *[name for name in WEATHER if name != "wind_speed"],
    wind_speed=pl.when(pl.col("wind_speed") <= 200).then("wind_speed"),
)
departures = flights.group_by("origin", "time_hour").agg(departures=pl.len())
rates = flights.group_by("origin", "carrier", pl.col("date") + pl.duration(days=1)).agg(late_rate=pl.col("late").mean())
rows = (
    flights.filter(pl.col("late").is_not_null())
    .with_columns(scheduled=pl.col("date").cast(pl.Datetime) + pl.duration(minutes="departure"))
    .join(departures, on=["origin", "time_hour"], how="left")
    .join(planes, on="tailnum", how="left")
    .join(weather, on=["origin", "time_hour"], how="left")
    .join(rates, on=["origin", "carrier", "date"], how="left")
    .select(
        *("time_hour", "carrier", "flight", "origin", "late", "scheduled"),
        day=pl.col("date").dt.strftime("%Y-%m-%d"),
        period=pl.col("date").dt.strftime("%Y-%m"),
        day_of_week=(pl.col("scheduled").dt.weekday() - 1).cast(pl.Float64),
        hour=pl.col("scheduled").dt.hour().cast(pl.Float64),
        dest="dest",
        distance=pl.col("distance").cast(pl.Float64),
        duration=((minutes("sched_arr_time") - pl.col("departure")) % 1440).cast(pl.Float64),
        departures=pl.col("departures").cast(pl.Float64),
        seats=pl.col("seats").cast(pl.Float64),
        built="built",
        **{name: name for name in WEATHER},
        late_rate="late_rate",
    )
)
rows.sink_parquet(out / "features.parquet", compression="snappy", row_group_size=100_000)
