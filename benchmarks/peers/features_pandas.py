"""The features of flights in pandas, as one writes them when the data fit in memory: DATA OUT."""

import sys
from pathlib import Path

import pandas as pd

WEATHER = ["temp", "dewp", "humid", "wind_dir", "wind_speed", "precip", "pressure", "visib"]
RAW = [
    *("year", "month", "day", "time_hour", "carrier", "flight", "origin", "dest", "tailnum"),
    *("sched_dep_time", "sched_arr_time", "arr_delay", "distance"),
]
data, out = map(Path, sys.argv[1:])


def minutes(clock: pd.Series) -> pd.Series:
    return clock // 100 * 60 + clock % 100


rows = pd.read_parquet(data / "flights", columns=RAW)
rows["date"] = pd.to_datetime(rows[["year", "month", "day"]])
rows["late"] = (rows["arr_delay"] >= 15).astype(float).where(rows["arr_delay"].notna())
departure = minutes(rows["sched_dep_time"])
rows["scheduled"] = rows["date"] + pd.to_timedelta(departure, unit="min")
rows["day_of_week"], rows["hour"] = rows["scheduled"].dt.day_of_week, rows["scheduled"].dt.hour
rows["duration"] = (minutes(rows["sched_arr_time"]) - departure) % 1440
rows["departures"] = rows.groupby(["origin", "time_hour"])["flight"].transform("size")
rows = rows.drop(columns=["year", "month", "day", "sched_dep_time", "sched_arr_time", "arr_delay"])

planes = pd.read_parquet(data / "planes.parquet", columns=["tailnum", "seats", "year"])
rows = rows.merge(planes.rename(columns={"year": "built"}), on="tailnum", how="left").drop(columns="tailnum")
weather = pd.read_parquet(data / "weather", columns=["origin", "time_hour", *WEATHER])
weather["wind_speed"] = weather["wind_speed"].where(weather["wind_speed"] <= 200)
weather["time_hour"] += pd.Timedelta(hours=1)
rows = rows.merge(weather, on=["origin", "time_hour"], how="left")
rates = rows.groupby(["origin", "carrier", "date"])["late"].mean().rename("late_rate").reset_index()
rates["date"] += pd.Timedelta(days=1)
rows = rows.merge(rates, on=["origin", "carrier", "date"], how="left")

rows["day"], rows["period"] = rows["date"].dt.strftime("%Y-%m-%d"), rows["date"].dt.strftime("%Y-%m")
rows = rows.drop(columns="date").dropna(subset="late")
rows.to_parquet(out / "features.parquet", index=False, row_group_size=100_000)
