"""The raw tables: exactly the months that are asked for, readable, or a refusal that names the file."""

import shutil
from pathlib import Path

import pandas as pd
import pytest

from delivery.core.errors import Failure
from delivery.data import tables
from problem import TABLES


def test_all_months_are_put_together_in_order(data: Path, some: dict[str, pd.DataFrame]) -> None:
    read = tables.read("2013-02")
    assert set(read) == set(TABLES)
    assert read["flights"]["month"].tolist() == sorted(read["flights"]["month"])
    assert set(read["flights"]["month"]) == {1, 2}
    assert len(read["planes"]) == len(some["planes"])


def test_a_folder_that_lacks_a_month_is_stale(data: Path) -> None:
    with pytest.raises(
        Failure, match=r"data/flights is stale: fetch\.until is 2013-03 and it lacks 2013-03; run .* fetch"
    ):
        tables.read("2013-03")


def test_a_folder_that_holds_a_later_month_is_stale(data: Path) -> None:
    shutil.copy(data / "weather" / "2013-02.parquet", data / "weather" / "2013-03.parquet")
    with pytest.raises(Failure, match=r"data/weather is stale: fetch\.until is 2013-02 and it also holds 2013-03"):
        tables.read("2013-02")


def test_a_hole_in_the_months_is_stale(data: Path) -> None:
    (data / "flights" / "2013-01.parquet").unlink()
    with pytest.raises(Failure, match="it lacks 2013-01"):
        tables.read("2013-02")


def test_a_folder_that_is_not_there(folder: Path) -> None:
    with pytest.raises(Failure, match=r"it lacks 2013-01, 2013-02; run `delivery fetch`"):
        tables.read("2013-02")


def test_a_single_file_that_is_not_there(data: Path) -> None:
    (data / "planes.parquet").unlink()
    with pytest.raises(Failure, match=r"data/planes\.parquet is missing; run `delivery fetch`"):
        tables.read("2013-02")


@pytest.mark.parametrize("kept", [0.0, 0.5, 0.99])
def test_a_truncated_file_is_named_with_the_fix(kept: float, data: Path) -> None:
    path = data / "flights" / "2013-02.parquet"
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(Failure, match=r"flights/2013-02\.parquet cannot be read \(.*\); delete it and run") as failure:
        tables.read("2013-02")
    assert "\n" not in str(failure.value)


@pytest.mark.parametrize("name", ["flights/2013-02.parquet", "planes.parquet"])
def test_a_file_with_columns_and_no_rows_is_refused(name: str, data: Path) -> None:
    """Among other months an empty one would go unseen, and the month before would be taken for the newest."""
    pd.read_parquet(data / name).head(0).to_parquet(data / name)
    with pytest.raises(Failure, match=f"data/{name} is empty: it has columns and no rows"):
        tables.read("2013-02")


@pytest.mark.parametrize("until", ["2012-12", "2014-01", "2013-1", "May"])
def test_a_month_that_the_source_does_not_have(until: str) -> None:
    with pytest.raises(Failure, match=f"there is no period {until} .*the source has 2013-01 to 2013-12"):
        tables.expected(until)


def test_expected_months() -> None:
    assert tables.expected("2013-03") == ["2013-01", "2013-02", "2013-03"]


def test_the_month_after_the_newest() -> None:
    assert tables.following("2013-05") == "2013-06"


def test_at_the_last_month_there_is_nothing_newer() -> None:
    with pytest.raises(Failure, match="the source has nothing newer than 2013-12"):
        tables.following("2013-12")
