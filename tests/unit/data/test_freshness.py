"""A source that stops sending rows or labels is found by the age of the newest, and said where people look."""

import argparse
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import made
import pandas as pd
import pytest

from delivery.core import params, workspace
from delivery.core.errors import Failure
from delivery.core.params import Drift, Params
from delivery.data import freshness
from delivery.data.freshness import Arrivals
from delivery.deploy import status
from delivery.drift import agenda, arrival, decisions, drift
from delivery.fork import doctor

NOW = datetime(2026, 7, 10, 2)
JUNE, MAY = "2026-06-30T23:00:00", "2026-05-31T23:00:00"


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(freshness, "now", lambda: NOW)


def test_the_newest_row_and_the_newest_label_are_found() -> None:
    times = pd.Series(pd.to_datetime(["2026-06-30 23:00", "2026-05-31 23:00", "2026-01-01 00:00"]))
    assert freshness.newest(times, pd.Series([None, 1.0, 0.0])) == Arrivals(JUNE, MAY)
    nothing = freshness.newest(times.iloc[:0], pd.Series(dtype=float))
    assert (nothing.rows, nothing.labels) == ("", "")
    zoned = freshness.newest(times.dt.tz_localize("Europe/Berlin"), pd.Series([1, 1, 1]))
    assert zoned.rows == "2026-06-30T21:00:00"


def test_the_latest_of_several_goes_by_part() -> None:
    assert freshness.latest(Arrivals(JUNE, ""), Arrivals(MAY, MAY)) == Arrivals(JUNE, MAY)
    assert freshness.latest() == Arrivals()


@pytest.mark.parametrize(
    ("found", "limits", "words"),
    [
        (Arrivals(JUNE, MAY), Drift(), []),
        (Arrivals(JUNE, MAY), Drift(rows_late_after=9, labels_late_after=39), []),
        (Arrivals(JUNE, MAY), Drift(rows_late_after=8), ["no row that is newer than 2026-06-30, 9 days ago"]),
        (Arrivals(JUNE, MAY), Drift(labels_late_after=38), ["no label that is newer than 2026-05-31, 39 days ago"]),
        (Arrivals(JUNE, ""), Drift(rows_late_after=9, labels_late_after=60), ["has sent no label yet"]),
        (Arrivals(), Drift(rows_late_after=9, labels_late_after=60), []),
    ],
    ids=["no limit", "in time", "rows", "labels", "never a label", "nothing is known"],
)
def test_what_is_older_than_its_limit_is_late(found: Arrivals, limits: Drift, words: list[str]) -> None:
    said = freshness.late(found, limits)
    assert len(said) == len(words)
    for sentence, part in zip(said, words, strict=True):
        assert part in sentence
        assert sentence.startswith("src/problem/source.py")


def test_the_record_is_read_back_and_a_broken_one_is_named(folder: Path) -> None:
    assert freshness.read() == Arrivals()
    freshness.write(Arrivals(JUNE, MAY))
    assert freshness.read() == Arrivals(JUNE, MAY)
    freshness.RECORD.write_text("{")
    with pytest.raises(Failure, match=r"arrivals\.json cannot be read"):
        freshness.read()


def settings(**limits: Any) -> Params:
    given = params.load(made.ROOT / "params.yaml")
    return made.changed(given, drift=made.changed(given.drift, **limits))


def checked(
    arrived: Arrivals, limits: dict[str, int], monkeypatch: pytest.MonkeyPatch, *, behind: bool = False
) -> tuple[int, list[Arrivals]]:
    """The verb without a period to judge: its exit code, and what it recorded."""
    recorded: list[Arrivals] = []

    def record(entries: Any, windows: Any, found: Arrivals) -> str:
        recorded.append(found)
        return ""

    chosen = settings(**limits)
    workspace.DRIFT_PAGE.parent.mkdir(exist_ok=True)
    monkeypatch.setattr(params, "load", lambda *_: chosen)
    monkeypatch.setattr(drift.store, "pull", lambda: "")
    monkeypatch.setattr(agenda, "take", lambda *_: agenda.Taken([], None, (), arrived, behind))
    monkeypatch.setattr(arrival, "newest", lambda *_: Arrivals(MAY, MAY))
    monkeypatch.setattr(decisions, "record", record)
    code = drift.main(argparse.Namespace(push=True, served=None, period=None, json=False))
    return code, recorded


def test_the_check_is_red_while_the_source_is_late(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    code, recorded = checked(Arrivals(JUNE, MAY), {"rows_late_after": 8}, monkeypatch)
    assert (code, recorded) == (1, [Arrivals(JUNE, MAY)])
    said = capsys.readouterr().err
    assert "error: src/problem/source.py has sent no row that is newer than 2026-06-30" in said
    assert "::error title=drift::src/problem/source.py has sent no row" in said
    assert checked(Arrivals(JUNE, MAY), {"rows_late_after": 9}, monkeypatch)[0] == 0
    assert checked(Arrivals(JUNE, MAY), {"rows_late_after": 8}, monkeypatch, behind=True)[0] == 0  # not all is seen yet


def test_without_a_new_period_and_a_record_the_model_s_own_data_say_how_old_they_are(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, recorded = checked(Arrivals(), {"rows_late_after": 39}, monkeypatch)
    assert (code, recorded) == (0, [Arrivals(MAY, MAY)])
    freshness.write(Arrivals(MAY, MAY))
    code, recorded = checked(Arrivals(), {"rows_late_after": 38}, monkeypatch)
    assert (code, recorded) == (1, [])  # nothing has changed: nothing to push


@pytest.mark.parametrize(
    ("limits", "found", "state", "said"),
    [
        ({}, Arrivals(JUNE, MAY), "optional", "a source that stops is noticed by nobody"),
        ({"rows_late_after": 8}, Arrivals(), "optional", "no drift check has been recorded yet"),
        ({"rows_late_after": 8}, Arrivals(JUNE, MAY), "missing", "no row that is newer than 2026-06-30"),
        ({"rows_late_after": 9}, Arrivals(JUNE, MAY), "ready", "rows until 2026-06-30, labels until 2026-05-31"),
    ],
)
def test_doctor_and_status_say_it(
    limits: dict[str, int], found: Arrivals, state: str, said: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = settings(**limits)
    monkeypatch.setattr(params, "load", lambda *_: chosen)
    if found.rows:
        freshness.write(found)
    finding = doctor.arrivals()
    assert finding.state == state
    assert said in finding.found
    assert bool(status.late()) == (state == "missing")


def test_status_is_green_though_the_source_is_late(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = settings(rows_late_after=8)
    monkeypatch.setattr(params, "load", lambda *_: chosen)
    monkeypatch.setattr(status, "run", list)
    freshness.write(Arrivals(JUNE, MAY))
    assert status.main(argparse.Namespace(environment="", json=False)) == 0
    assert "❌ src/problem/source.py has sent no row that is newer than 2026-06-30" in capsys.readouterr().out


def test_a_check_keeps_what_it_has_seen(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decisions.store, "ready", lambda: None)
    monkeypatch.setattr(decisions.store, "push", lambda message, redo: message)
    freshness.write(Arrivals(JUNE, ""))
    assert decisions.record([], [], Arrivals(MAY, MAY)) == "Drift check without a new period"
    assert freshness.read() == Arrivals(JUNE, MAY)
    assert json.loads(freshness.RECORD.read_text())["rows"] == JUNE
