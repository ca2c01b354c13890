"""A schema break of each kind stops the pipeline, and the line says table, column, rule, how many and which."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import made
import numpy as np
import pandas as pd
import pytest

from delivery import validate
from delivery.errors import Failure
from delivery.params import Params
from problem import TABLES

Break = Callable[[pd.DataFrame], pd.DataFrame]


def put(column: str, value: Any, count: int = 1) -> Break:
    """The same table with the first rows of a column replaced."""

    def broken(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.assign(**{column: frame[column].mask(np.arange(len(frame)) < count, value)})

    return broken


BREAKS: dict[str, tuple[str, Break, str]] = {
    "missing column": ("flights", lambda f: f.drop(columns="dest"), "flights: missing column dest"),
    "extra column": ("flights", lambda f: f.assign(gate="A1"), "flights: unexpected column gate"),
    "text for a number": (
        "flights",
        lambda f: f.assign(distance=f["distance"].astype("str")),
        "flights.distance: wrong type str, expected int64",
    ),
    "decimals for whole numbers": (
        "flights",
        lambda f: f.assign(flight=f["flight"] + 0.5),
        "flights.flight: wrong type float64, expected int64",
    ),
    "time without a zone": (
        "flights",
        lambda f: f.assign(time_hour=f["time_hour"].dt.tz_localize(None)),
        "flights.time_hour: wrong type datetime64",
    ),
    "too large": ("flights", put("distance", 9000, 2), "flights.distance: less_than_or_equal_to(6000): 2 values, 9000"),
    "too small": ("weather", put("humid", -1.0), "weather.humid: greater_than_or_equal_to(0): 1 values, -1.0 (row 0)"),
    "unknown category": (
        "flights",
        put("origin", "PHL"),
        "flights.origin: isin(('EWR', 'JFK', 'LGA')): 1 values, 'PHL'",
    ),
    "not of the pattern": (
        "flights",
        put("carrier", "ua"),
        "flights.carrier: str_matches('^[0-9A-Z]{2}$'): 1 values, 'ua'",
    ),
    "missing value": ("planes", put("seats", np.nan, 3), "planes.seats: not_nullable: 3 values"),
    "duplicate key": (
        "flights",
        lambda f: pd.concat([f, f.head(2)], ignore_index=True),
        "flights: duplicate key time_hour, carrier, flight, origin: 4 rows, first at row 0",
    ),
    "empty table": ("weather", lambda f: f.head(0), "weather: the table is empty"),
}


@pytest.mark.parametrize("kind", BREAKS)
def test_a_break_is_refused_in_words(kind: str, some: dict[str, pd.DataFrame]) -> None:
    table, broken, message = BREAKS[kind]
    with pytest.raises(Failure) as failure:
        validate.check({**some, table: broken(some[table])})
    assert message in str(failure.value)
    assert "mend the source or src/problem/schema.py" in str(failure.value)
    assert len(str(failure.value)) < 1000


def test_good_tables_pass(some: dict[str, pd.DataFrame]) -> None:
    validate.check(some)


def test_every_break_is_named_at_once(some: dict[str, pd.DataFrame]) -> None:
    flights = put("distance", 9000)(put("origin", "PHL")(some["flights"])).drop(columns="minute")
    weather = put("humid", 101.0)(some["weather"])
    with pytest.raises(Failure, match="break their schema in 4 place") as failure:
        validate.check({**some, "flights": flights, "weather": weather})
    assert str(failure.value).count("\n  ") == 4


def test_missing_values_where_they_may_be_pass(some: dict[str, pd.DataFrame]) -> None:
    assert validate.violations("weather", some["weather"].assign(temp=np.nan)) == []


@pytest.mark.parametrize("name", TABLES)
def test_every_column_of_the_schema_is_checked(name: str, some: dict[str, pd.DataFrame]) -> None:
    assert set(validate.schema(name).columns) == set(some[name].columns) == set(TABLES[name].row.__struct_fields__)


def spoilt(data: Path, share: float) -> None:
    """Temperatures of the newest month go missing."""
    path = data / "weather" / "2013-02.parquet"
    rows = pd.read_parquet(path)
    rows.assign(temp=rows["temp"].mask(np.arange(len(rows)) < share * len(rows))).to_parquet(path, index=False)


def test_a_jump_of_missing_values_stops_and_says_how_far(data: Path, settings: Params) -> None:
    spoilt(data, 0.5)
    with pytest.raises(
        Failure, match=r"weather\.temp: missing in 50\.\d% of the newest period's rows, 0\.0% before"
    ) as failure:
        validate.run(made.changed(settings, validate__missing_jump=0.2))
    assert "(validate.missing_jump is 20%); mend the feed or raise the limit" in str(failure.value)
    assert not validate.REPORT.exists()


def test_a_few_missing_values_more_are_evidence_only(data: Path, settings: Params) -> None:
    spoilt(data, 0.1)
    validate.run(made.changed(settings, validate__missing_jump=0.2))
    report = json.loads(validate.REPORT.read_text())
    temp = next(row for row in report["skew"]["weather"] if row["column"] == "temp")
    assert temp["missing_now"] == pytest.approx(0.1, abs=0.01)
    assert temp["seasonal"]
    assert report["until"] == "2013-02"
    assert report["rows"]["planes"] == 3322


def test_the_first_month_has_nothing_to_be_compared_with(data: Path, settings: Params) -> None:
    for name in ("flights", "weather"):
        (data / name / "2013-02.parquet").unlink()
    validate.run(made.changed(settings, fetch__until="2013-01"))
    assert json.loads(validate.REPORT.read_text())["skew"] == {"flights": [], "weather": []}
