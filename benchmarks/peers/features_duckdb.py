"""The features of flights in DuckDB, one query: DATA OUT."""

import sys
from pathlib import Path

import duckdb

data, out = map(Path, sys.argv[1:])
QUERY = f"""
WITH flights AS (
    SELECT *, make_date(year, month, day) AS date, (arr_delay >= 15)::DOUBLE AS late,
        sched_dep_time // 100 * 60 + sched_dep_time % 100 AS departure,
        sched_arr_time // 100 * 60 + sched_arr_time % 100 AS arrival
    FROM read_parquet('{data}/flights/*.parquet')
), departures AS (
    SELECT origin, time_hour, count(*)::DOUBLE AS departures FROM flights GROUP BY ALL
), rates AS (
    SELECT origin, carrier, date + 1 AS date, avg(late) AS late_rate FROM flights GROUP BY ALL
), weather AS (
    SELECT origin, time_hour + INTERVAL 1 HOUR AS time_hour, temp, dewp, humid, wind_dir,
        CASE WHEN wind_speed <= 200 THEN wind_speed END AS wind_speed, precip, pressure, visib
    FROM read_parquet('{data}/weather/*.parquet')
), rows AS (
    SELECT flights.*, date + to_minutes(departure) AS scheduled FROM flights WHERE late IS NOT NULL
)
SELECT time_hour, carrier, flight, origin, strftime(date, '%Y-%m-%d') AS day, strftime(date, '%Y-%m') AS period, late,
    scheduled, (isodow(scheduled) - 1)::DOUBLE AS day_of_week, hour(scheduled)::DOUBLE AS hour, dest,
    distance::DOUBLE AS distance, ((arrival - departure + 1440) % 1440)::DOUBLE AS duration, departures,
    planes.seats::DOUBLE AS seats, planes.year AS built,
    temp, dewp, humid, wind_dir, wind_speed, precip, pressure, visib, late_rate
FROM rows JOIN departures USING (origin, time_hour)
LEFT JOIN (SELECT tailnum, seats, year FROM read_parquet('{data}/planes.parquet')) AS planes USING (tailnum)
LEFT JOIN weather USING (origin, time_hour)
LEFT JOIN rates USING (origin, carrier, date)
"""
duckdb.sql("SET TimeZone = 'UTC'; SET preserve_insertion_order = false")
duckdb.sql(f"COPY ({QUERY}) TO '{out}/features.parquet' (FORMAT parquet, ROW_GROUP_SIZE 100_000)")
