"""The data in windows: the same examples as at once, whatever the windows, and a refusal where that cannot be."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import made
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery.compute import processes
from delivery.core import files, workspace
from delivery.core.errors import Failure
from delivery.core.params import Params
from delivery.data import prepared, tables, windows
from delivery.pipeline import leakage, prepare
from problem import KEY, TABLES, TIME, table

Tables = Mapping[str, pd.DataFrame]
NEWEST = "2013-02"


@pytest.fixture
def streaming(settings: Params, monkeypatch: pytest.MonkeyPatch) -> Params:
    """Windows of about two days, in this process."""
    monkeypatch.setattr(windows, "ROWS", 1800)
    monkeypatch.setattr(processes, "PROCESSES", 1)
    return made.changed(settings, engine="stream")


def changed_table(monkeypatch: pytest.MonkeyPatch, name: str, **values: Any) -> None:
    monkeypatch.setitem(TABLES, name, TABLES[name]._replace(**values))


def test_the_examples_of_all_windows_are_those_of_everything(data: Path, streaming: Params) -> None:
    whole = windows.features(*windows.cut(NEWEST, "memory"))
    cut = windows.cut(NEWEST, "stream")
    assert len(cut) > 4
    pd.testing.assert_frame_equal(pd.concat(map(windows.features, cut), ignore_index=True), whole, check_exact=True)


def test_each_window_reads_its_days_and_the_day_before(data: Path, streaming: Params) -> None:
    cut = windows.cut(NEWEST, "stream")
    assert [(window.since, window.until) for window in cut[:2]] == [
        (date(2013, 1, 1), date(2013, 1, 2)),
        (date(2013, 1, 3), date(2013, 1, 4)),
    ]
    raw = windows.raw(cut[1])
    assert set(raw["flights"]["day"]) == set(raw["weather"]["day"]) == {2, 3, 4}
    february = next(window for window in cut if window.periods[-1] == NEWEST)
    assert february.periods == (NEWEST,), "of January the sample ends days before February begins"


def test_a_problem_that_is_silent_is_given_all_that_came_before(
    data: Path, streaming: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed_table(monkeypatch, "flights", back=None)
    last = windows.cut(NEWEST, "stream")[-1]
    assert set(windows.raw(last)["flights"]["month"]) == {1, 2}
    assert set(windows.raw(last)["weather"]["month"]) == {2}


@given(st.lists(st.integers(1, 9_000_000), min_size=1, max_size=40))
def test_parts_are_all_the_days_in_order_and_about_even(rows: list[int]) -> None:
    sizes = {date.fromordinal(1 + at): count for at, count in enumerate(rows)}
    parts = list(windows.divided(sizes))
    assert [day for part in parts for day in part] == list(sizes)
    for part in parts:
        assert len(part) == 1 or sum(sizes[day] for day in part) <= 1.5 * windows.ROWS + 2 * max(
            sizes[day] for day in part
        )


def test_prepare_writes_the_same_rows_in_the_same_order(
    project: Path, settings: Params, streaming: Params, capsys: pytest.CaptureFixture
) -> None:
    prepare.run(settings)
    said, before = capsys.readouterr().out, {name: prepared.read(name) for name in ("train", "test")}
    prepare.run(streaming)
    assert capsys.readouterr().out == said
    for name, rows in before.items():
        assert len(list((workspace.PREPARED / f"{name}.parquet").iterdir())) > 2
        pd.testing.assert_frame_equal(prepared.read(name), rows, check_exact=True)


def test_processes_give_what_one_gives_byte_for_byte(
    project: Path, streaming: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare.run(streaming)
    before = files.digest(workspace.PREPARED)
    monkeypatch.setattr(processes, "PROCESSES", 2)
    monkeypatch.setattr(processes.engine, "cores", lambda: 2)
    prepare.run(streaming)
    assert files.digest(workspace.PREPARED) == before


def test_rows_that_are_not_in_order_of_days_come_out_in_it(data: Path, streaming: Params) -> None:
    path = data / "flights" / "2013-01.parquet"
    pd.read_parquet(path).sample(frac=1, random_state=0).to_parquet(path, index=False)
    whole = windows.features(*windows.cut(NEWEST, "memory"))
    assert whole[TIME].dt.normalize().is_monotonic_increasing
    found = pd.concat(map(windows.features, windows.cut(NEWEST, "stream")), ignore_index=True)
    pd.testing.assert_frame_equal(found, whole, check_exact=True)


def test_an_index_that_repeats_itself_changes_nothing(
    data: Path, streaming: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`table` may put parts together, each of which counts from nought, and in no order of days."""
    (everything,) = windows.cut(NEWEST, "memory")
    rows = windows.features(everything)
    february = rows[TIME] >= "2013-02"
    parts = [rows[february].reset_index(drop=True), rows[~february]]
    monkeypatch.setattr(windows, "table", lambda raw: pd.concat(parts))
    pd.testing.assert_frame_equal(windows.features(everything), rows, check_exact=True)


def late_rate_of_three_days(raw: Tables) -> pd.DataFrame:
    """Looks three days back, in the order of the days."""
    rows = table(raw)
    days = rows.groupby(["origin", "carrier", "day"])["late_rate"].first().groupby(level=[0, 1]).shift(2)
    return rows.drop(columns="late_rate").join(days, on=["origin", "carrier", "day"])


def departures_of_the_day_after(raw: Tables) -> pd.DataFrame:
    rows = table(raw)
    return rows.assign(departures=rows.groupby("day")["origin"].transform("size").shift(-1))


def asked_for_the_evening_before(raw: Tables) -> pd.DataFrame:
    rows = table(raw)
    return rows.assign(**{TIME: rows[TIME] - pd.Timedelta(days=1)})


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (
            late_rate_of_three_days,
            "late_rate of 2013-.* changes when only the days are read that `back` in TABLES .* raise `back`",
        ),
        (departures_of_the_day_after, "departures of 2013-.* changes when only the days"),
        (asked_for_the_evening_before, "2013-.* has 0 examples instead of .* when only the days are read"),
    ],
)
def test_what_looks_further_than_it_says_is_refused(
    wrong, says: str, project: Path, streaming: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = files.digest(workspace.PREPARED)
    monkeypatch.setattr(windows, "table", wrong)
    monkeypatch.setattr(leakage, "MOMENTS", 1)  # it is not the leak that is to be found
    monkeypatch.setattr(leakage, "refuse_leak", lambda *_: None)
    with pytest.raises(Failure, match=says):
        prepare.run(streaming)
    assert files.digest(workspace.PREPARED) == before


def test_an_example_of_a_later_day_than_its_rows_is_refused(
    data: Path, streaming: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        windows, "table", lambda raw: table(raw).assign(**{TIME: table(raw)[TIME] + pd.Timedelta("1D")})
    )
    with pytest.raises(
        Failure, match=r"have a scheduled on 2013-01-03 and would be lost when computed day by day; set engine: m"
    ):
        windows.features(windows.cut(NEWEST, "stream")[0])


def test_what_a_lost_worker_writes_as_well_changes_nothing(
    project: Path, streaming: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cluster gives its window to another one; the lost one goes on and comes too late."""
    prepare.run(streaming)
    once, write = files.digest(workspace.PREPARED), prepare.write_window

    def twice(window: windows.Window, folder: Path) -> list[prepare.Part]:
        lost = write(window, folder)
        done = write(window, folder)
        lost[0].path.write_bytes(b"PAR1")
        return done

    monkeypatch.setattr(prepare, "write_window", twice)
    prepare.run(streaming)
    assert files.digest(workspace.PREPARED) == once


def test_the_stage_refuses_a_leak_in_windows_too(
    project: Path, streaming: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    def leaking(raw: Tables) -> pd.DataFrame:
        rows = table(raw)
        return rows.assign(seats=rows.groupby("dest")["late"].transform("mean"))

    for module in (prepare, leakage):
        monkeypatch.setattr(module, "table", leaking)
    with pytest.raises(Failure, match="seats is not known at prediction time"):
        prepare.run(streaming)


@pytest.mark.parametrize("where", ["memory", "stream"])
@pytest.mark.parametrize("at", [0, -1])
def test_an_example_that_is_there_twice_is_refused(
    at: int, where: str, project: Path, streaming: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leakage, "MOMENTS", 1)  # whatever day is looked at for leaks
    rows = table(tables.read(NEWEST))
    one = rows.iloc[at][list(KEY)]

    def doubled(raw: Tables) -> pd.DataFrame:
        rows = table(raw)
        return pd.concat([rows, rows[(rows[list(KEY)] == one).all(axis="columns")]])

    for module in (prepare, windows):
        monkeypatch.setattr(module, "table", doubled)
    with pytest.raises(Failure, match=r"the table of features repeats .* in 1 row\(s\)"):
        prepare.run(made.changed(streaming, engine=where))


def test_tables_without_days_are_not_cut(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changed_table(monkeypatch, "weather", day=())
    with pytest.raises(Failure, match="engine is stream, but weather cannot be read day by day: set `day` in TABLES"):
        windows.cut(NEWEST, "stream")


def test_months_that_overlap_are_not_cut(data: Path) -> None:
    path = data / "flights" / "2013-01.parquet"
    rows = pd.read_parquet(path)
    rows.loc[len(rows) - 1, ["month", "day"]] = [2, 3]
    rows.to_parquet(path, index=False)
    with pytest.raises(Failure, match="2013-02 begins on 2013-02-01, before 2013-01 ends; set engine: memory"):
        windows.cut(NEWEST, "stream")


@pytest.mark.parametrize("zone", ["UTC", None])
def test_days_of_moments_are_read_like_days_of_numbers(zone: str | None, folder: Path) -> None:
    moments = pd.date_range("2013-01-01", "2013-01-05 23:00", freq="h", tz=zone)
    pd.DataFrame({"when": moments, "place": np.arange(len(moments))}).to_parquet("rows.parquet", row_group_size=30)
    assert tables.days(Path("rows.parquet"), ("when",)) == {date(2013, 1, day): 24 for day in range(1, 6)}
    found = tables.between(Path("rows.parquet"), ("when",), date(2013, 1, 2), date(2013, 1, 3))
    assert found["place"].tolist() == list(range(24, 72))
    everything = tables.between(Path("rows.parquet"), ("when",), date.min, date.max)
    assert len(everything) == len(moments)


ENDLESS = """
import sys, time
from delivery.compute import processes

def wait(window):
    print("started", flush=True)
    time.sleep(600)

if __name__ == "__main__":
    processes.PROCESSES = 2
    processes.engine.cores = lambda: 2
    list(processes.each(wait, ["a", "b"]))
"""


def test_processes_end_with_the_one_that_started_them(folder: Path) -> None:
    Path("endless.py").write_text(ENDLESS)
    with subprocess.Popen([sys.executable, "endless.py"], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert [parent.stdout.readline() for _ in range(2)] == ["started\n"] * 2
        os.kill(parent.pid, signal.SIGKILL)
        assert parent.stdout.read() == "", "the end of the file: nobody holds the other end"
