"""A schema break of each kind stops the pipeline, and the line says table, column, rule, how many and which."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import made
import numpy as np
import pandas as pd
import pytest

from delivery.compute import processes
from delivery.core import workspace
from delivery.core.errors import Failure
from delivery.core.params import Params
from delivery.data import columns, schemas, tables, windows
from delivery.pipeline import validate
from delivery.stats import shift
from problem import TABLES

Break = Callable[[pd.DataFrame], pd.DataFrame]


def put(column: str, value: Any, count: int = 1) -> Break:
    """The same table with the first rows of a column replaced."""

    def broken(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.assign(**{column: frame[column].mask(np.arange(len(frame)) < count, value)})

    return broken


BREAKS: dict[str, tuple[str, Break, str]] = {
    "missing column": ("flights", lambda f: f.drop(columns="dest"), "flights: missing column dest"),
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


def check(raw: dict[str, pd.DataFrame]) -> None:
    """Check tables that are in memory."""
    validate.check(validate.whole_tables(raw), {}, map)


@pytest.mark.parametrize("kind", BREAKS)
def test_a_break_is_refused_in_words(kind: str, some: dict[str, pd.DataFrame]) -> None:
    table, broken, message = BREAKS[kind]
    with pytest.raises(Failure) as failure:
        check({**some, table: broken(some[table])})
    assert message in str(failure.value)
    assert "fix the source or src/problem/schema.py" in str(failure.value)
    assert len(str(failure.value)) < 1000


def test_good_tables_pass(some: dict[str, pd.DataFrame]) -> None:
    check(some)


def rewritten(data: Path, change: Break) -> None:
    """The flights of both months as a source has them that has changed."""
    for path in (data / "flights").glob("*.parquet"):
        change(pd.read_parquet(path)).to_parquet(path, index=False)


OTHERWISE: dict[str, Break] = {
    "whole numbers with decimals": lambda f: f.astype({"distance": "float64", "day": "float64", "year": "float64"}),
    "whole numbers in 32 bits": lambda f: f.astype({"distance": "int32", "month": "int8"}),
    "decimals without decimals": lambda f: f.assign(arr_delay=f["arr_delay"].fillna(0).astype("int64")),
    "a further column": lambda f: f.assign(gate="A1"),
}


@pytest.mark.parametrize("kind", OTHERWISE)
def test_a_source_that_writes_the_same_otherwise_passes(
    kind: str, data: Path, settings: Params, streaming: Params
) -> None:
    """Also read day by day; what is read is what it was, in the schema's types."""
    rewritten(data, lambda f: f.assign(arr_delay=f["arr_delay"].fillna(0)))
    before = tables.read("2013-02")["flights"]
    rewritten(data, OTHERWISE[kind])
    for each in (settings, streaming):
        validate.run(each)
        features = pd.concat([windows.features(window) for window in windows.cut("2013-02", each.engine)])
        assert len(features)
    pd.testing.assert_frame_equal(tables.read("2013-02")["flights"], before)


def test_a_further_column_is_named_and_ignored(
    data: Path, settings: Params, capsys: pytest.CaptureFixture[str]
) -> None:
    rewritten(data, lambda f: f.assign(gate="A1", terminal=1))
    validate.run(settings)
    named = "ignored, because src/problem/schema.py does not name it: flights.gate, flights.terminal"
    assert named in capsys.readouterr().out
    assert json.loads(workspace.VALIDATION.read_bytes())["further"] == {"flights": ["gate", "terminal"]}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda f: f.rename(columns={"dest": "destination"}),
            "flights: missing column dest; if the source has renamed it to destination, rename it in class Flight",
        ),
        (
            lambda f: f.rename(columns={"dest": "airport_to"}),
            "flights: missing column dest; if the source has renamed it to airport_to, rename it in class Flight",
        ),
        (
            lambda f: f.drop(columns="dest"),
            "flights: missing column dest; if the source has it no longer, remove it from class Flight",
        ),
        (
            lambda f: f.astype({"flight": "str"}),
            "flights.flight: wrong type str, expected int64; if the source is right, write `flight: str` in class Flight",
        ),
        (
            lambda f: f.assign(flight=f["flight"] + 0.5),
            "flights.flight: wrong type float64, expected int64; if the source is right, write `flight: float` in class",
        ),
    ],
    ids=["renamed", "renamed beyond recognition", "gone", "of another type", "with decimals"],
)
def test_a_changed_column_is_refused_with_the_edit(
    change: Break, words: str, data: Path, settings: Params, streaming: Params
) -> None:
    rewritten(data, change)
    for each in (settings, streaming):
        with pytest.raises(Failure) as failure:
            validate.run(each)
        assert words in str(failure.value)


def test_a_column_that_the_newest_month_renames_is_refused_with_the_edit(data: Path, settings: Params) -> None:
    path = data / "weather" / "2013-02.parquet"
    pd.read_parquet(path).rename(columns={"origin": "origins"}).to_parquet(path, index=False)
    with pytest.raises(
        Failure, match=r"weather\.origin: not_nullable: .*; if the source has renamed it to origins, rename"
    ):
        validate.run(settings)


@pytest.mark.parametrize(
    ("values", "to"),
    [
        ([1.0, 2.5], "int64"),
        ([1.0, np.nan], "int64"),
        ([1.0, np.inf], "int64"),
        ([2**53 + 1, 1], "float64"),
        ([True], "int64"),
    ],
    ids=["fractions", "gaps", "infinity", "too long", "yes and no"],
)
def test_a_number_that_would_change_keeps_its_type(values: list, to: str) -> None:
    assert not columns.converts(pd.Series(values), to)


def test_every_break_is_named_at_once(some: dict[str, pd.DataFrame]) -> None:
    flights = put("distance", 9000)(put("origin", "PHL")(some["flights"])).drop(columns="minute")
    weather = put("humid", 101.0)(some["weather"])
    with pytest.raises(Failure, match="break their schema in 4 place") as failure:
        check({**some, "flights": flights, "weather": weather})
    assert str(failure.value).count("\n  ") == 4


def test_missing_values_where_they_may_be_pass(some: dict[str, pd.DataFrame]) -> None:
    assert schemas.violations("weather", some["weather"].assign(temp=np.nan)) == []


@pytest.mark.parametrize("name", TABLES)
def test_every_column_of_the_schema_is_checked(name: str, some: dict[str, pd.DataFrame]) -> None:
    assert set(schemas.schema(name).columns) == set(some[name].columns) == set(TABLES[name].row.__struct_fields__)


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
    assert "(validate.missing_jump is 20%); fix the feed or raise the limit" in str(failure.value)
    assert not workspace.VALIDATION.exists()


def test_a_few_missing_values_more_are_evidence_only(data: Path, settings: Params) -> None:
    spoilt(data, 0.1)
    validate.run(made.changed(settings, validate__missing_jump=0.2))
    report = json.loads(workspace.VALIDATION.read_text())
    temp = next(row for row in report["skew"]["weather"] if row["column"] == "temp")
    assert temp["missing_now"] == pytest.approx(0.1, abs=0.01)
    assert temp["seasonal"]
    assert report["until"] == "2013-02"
    assert report["rows"]["planes"] == 3322


def test_the_first_month_has_nothing_to_be_compared_with(data: Path, settings: Params) -> None:
    for name in ("flights", "weather"):
        (data / name / "2013-02.parquet").unlink()
    validate.run(made.changed(settings, fetch__until="2013-01"))
    assert json.loads(workspace.VALIDATION.read_text())["skew"] == {"flights": [], "weather": []}


@pytest.fixture
def streaming(settings: Params, monkeypatch: pytest.MonkeyPatch) -> Params:
    """Pieces of about 700 rows, in this process."""
    monkeypatch.setattr(tables, "ROWS", 700)
    monkeypatch.setattr(processes, "PROCESSES", 1)
    return made.changed(settings, engine="stream")


def in_pieces(data: Path) -> None:
    for path in data.rglob("*.parquet"):
        pd.read_parquet(path).to_parquet(path, index=False, row_group_size=300)


def test_a_stream_finds_what_memory_finds(
    data: Path, settings: Params, streaming: Params, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    in_pieces(data)
    monkeypatch.setattr(shift, "CUT_ROWS", 500)  # so that the sample has steps
    validate.run(settings)
    said, report = capsys.readouterr().out, workspace.VALIDATION.read_bytes()
    workspace.VALIDATION.unlink()
    validate.run(streaming)
    assert (capsys.readouterr().out, workspace.VALIDATION.read_bytes()) == (said, report)
    assert len(json.loads(report)["skew"]["flights"]) > 8


MIXED = ("missing column", "text for a number", "time without a zone")  # put together, months of two kinds are a third
STREAMED = {kind: found for kind, found in BREAKS.items() if kind != "empty table"}  # a file without rows is refused


@pytest.mark.parametrize("kind", STREAMED)
def test_a_stream_says_of_a_break_what_memory_says(kind: str, data: Path, settings: Params, streaming: Params) -> None:
    """In the second of two months, so that rows are counted on from the first."""
    name, broken, _ = BREAKS[kind]
    path = data / name / "2013-02.parquet" if TABLES[name].periodic else data / f"{name}.parquet"
    broken(pd.read_parquet(path)).to_parquet(path, index=False)
    in_pieces(data)
    said = []
    for each in (settings, streaming):
        with pytest.raises(Failure) as failure:
            validate.run(each)
        said.append(str(failure.value))
    if kind in MIXED:
        assert STREAMED[kind][2] in said[1]
    else:
        assert said[0] == said[1]


def test_a_key_that_another_month_has_too_is_found(data: Path, settings: Params, streaming: Params) -> None:
    path = data / "flights" / "2013-02.parquet"
    january = pd.read_parquet(data / "flights" / "2013-01.parquet")
    pd.concat([pd.read_parquet(path), january[40:42]]).to_parquet(path, index=False)
    in_pieces(data)
    for each in (settings, streaming):
        with pytest.raises(Failure, match="duplicate key time_hour, carrier, flight, origin: 4 rows, first at row 40"):
            validate.run(each)


def test_keys_that_only_share_a_hash_are_no_duplicates(
    data: Path, streaming: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pd.util, "hash_pandas_object", lambda rows, index: pd.Series(np.zeros(len(rows), np.uint64)))
    validate.run(streaming)
