"""What `drift` judges, what it refuses to judge, and which period is next; the decisions themselves are in test_policy.py."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import made
import pandas as pd
import pytest
from msgspec.structs import replace

from delivery.__main__ import main
from delivery.compute import processes
from delivery.core import files, workspace
from delivery.core.errors import Failure
from delivery.core.params import Params
from delivery.data import tables, windows
from delivery.drift import arrival, challenger, champion, check, decisions, drift, policy
from delivery.drift.findings import Revision
from delivery.drift.result import as_text
from delivery.drift.verdicts import LogEntry
from delivery.pipeline import train
from problem import Train, table


@pytest.fixture
def arrived(project: Path, little: Path) -> Path:
    """March has arrived at the finished project."""
    return shutil.copytree(little, workspace.CACHE / "drift" / "2013-03")


def test_a_month_that_the_champion_has_learnt_from_is_refused(project: Path, settings: Params) -> None:
    with pytest.raises(Failure, match="trained until 2013-01: 2013-01 is not new to it; take a later period"):
        check.run(settings, "2013-01")


def test_a_schema_break_in_the_new_month_stops_instead_of_retraining(arrived: Path, settings: Params) -> None:
    file = arrived / "flights" / "2013-03.parquet"
    pd.read_parquet(file).assign(origin="XXX").to_parquet(file)
    with pytest.raises(Failure, match=r"flights\.origin: isin"):
        check.run(settings, "2013-03")
    assert not workspace.DRIFT.exists()


def test_without_a_model_the_command_that_makes_one_is_named(folder: Path, settings: Params) -> None:
    with pytest.raises(Failure, match=r"model\.skops is missing; run `dvc repro` or `dvc pull`"):
        check.run(settings, "2013-03")


@pytest.mark.parametrize("option", ["--period", "--month"])
def test_a_month_that_does_not_exist_is_refused(option: str, project: Path, capsys) -> None:
    assert main(["drift", option, "2014-01"]) == 1
    assert "there is no period 2014-01 (fetch.until, --period)" in capsys.readouterr().err


@pytest.fixture
def lenient(settings: Params) -> Params:
    """March of the little project is six days long."""
    return made.changed(settings, drift__min_rows=100, drift__min_days=5, drift__runs_per_year=6, drift__cooldown=1)


def spoil(folder: Path, change: Callable[[pd.DataFrame], pd.DataFrame], month: str = "2013-03") -> None:
    file = folder / "flights" / f"{month}.parquet"
    change(pd.read_parquet(file)).to_parquet(file, index=False)


def test_a_stream_judges_as_memory_does(arrived: Path, lenient: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "ROWS", 1800)
    monkeypatch.setattr(tables, "ROWS", 700)
    monkeypatch.setattr(processes, "PROCESSES", 1)
    found = [check.run(made.changed(lenient, engine=engine), "2013-03") for engine in ("memory", "stream")]
    assert len(windows.cut("2013-03", "stream", arrived)) > 5
    at_once, by_days = (as_text(replace(each, seconds=0.0)) for each in found)
    assert at_once == by_days


def test_a_month_is_judged_and_written_down(arrived: Path, lenient: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[pd.DataFrame] = []
    fit = train.fit

    def watched(rows: pd.DataFrame, chosen: Train):
        seen.append(rows)
        return fit(rows, chosen)

    monkeypatch.setattr(train, "fit", watched)
    found = check.run(lenient, "2013-03")
    assert sorted(seen[0]["period"].unique()) == ["2013-01", "2013-02"], (
        "the challenger learns from all before the month"
    )
    assert (found.period, found.champion_trained_on) == ("2013-03", ("2013-01",))
    assert found.verdict in policy.JUDGED
    written = json.loads(workspace.DRIFT.read_text())
    decided = (found.retrain, found.withdraw, found.why)
    assert tuple(written[name] for name in ("retrain", "withdraw", "why")) == decided
    page = workspace.DRIFT_PAGE.read_text()
    assert page.startswith(f"**{'Retrain' if found.retrain else 'No retraining'} for 2013-03: {found.why}.**")
    assert "- The champion's log loss is " in page
    assert "Champion trained on 2013-01 to 2013-01; challenger on everything before 2013-03." in page
    evidence = {row.column: row for row in found.evidence}
    assert evidence["temp"].seasonal
    assert not evidence["temp"].alarm, "a month has its own weather"
    assert {"score", "late_rate"} <= set(evidence)


def test_what_was_measured_before_is_not_trained_again(
    arrived: Path, lenient: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the months since the champion was trained only the newest needs a model; new raw files make it all new."""
    examples = table(tables.read("2013-03", arrived))
    score = champion.by_model(workspace.MODEL)
    names = ["2013-02", "2013-03"]

    def windows() -> list:
        keys = [challenger.window_key(arrived, name, "champion", lenient) for name in names]
        return challenger.windows(examples, names, score, keys, lenient)

    first = windows()
    monkeypatch.setattr(train, "fitted", lambda *_: pytest.fail("trained again"))
    for one, other in zip(first, windows(), strict=True):
        assert one.gains == pytest.approx(other.gains, abs=1e-5)
    spoil(arrived, lambda rows: rows.iloc[1:])
    with pytest.raises(pytest.fail.Exception):
        windows()


def test_a_broken_window_is_refused_until_it_is_deleted(arrived: Path, lenient: Params) -> None:
    examples = table(tables.read("2013-03", arrived))
    score = champion.by_model(workspace.MODEL)
    key = challenger.window_key(arrived, "2013-03", "champion", lenient)

    def window() -> challenger.Window:
        return challenger.windows(examples, ["2013-03"], score, [key], lenient)[0]

    first = window()
    path = workspace.WINDOWS_CACHE / f"{key}.json"
    path.write_text(path.read_text()[:-20])
    for _ in range(2):
        with pytest.raises(Failure, match=r"is no window of a drift check .*; delete it, and run `delivery drift`"):
            window()
    path.unlink()
    assert window().gains == pytest.approx(first.gains)


def test_the_champions_own_test_month_has_no_challenger() -> None:
    rows = pd.DataFrame({"period": [f"2013-{month:02d}" for month in range(1, 9)], "late": 1.0})
    assert challenger.scored_periods(rows, "2013-04", "2013-07") == ["2013-06", "2013-07"]


def test_a_month_without_labels_waits(arrived: Path, lenient: Params) -> None:
    outcomes = ["dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"]
    spoil(arrived, lambda rows: rows.assign(**dict.fromkeys(outcomes, float("nan"))))
    found = check.run(lenient, "2013-03")
    assert (found.verdict, found.retrain, found.withdraw) == ("wait", False, False)
    assert "rows and none has a label yet" in found.why
    assert {row.column for row in found.evidence} >= {"score", "temp"}, "what moved can be seen without labels"
    assert workspace.DRIFT_PAGE.read_text().startswith("**No decision for 2013-03")


def test_a_month_that_is_not_over_waits(arrived: Path, lenient: Params) -> None:
    spoil(arrived, lambda rows: rows[rows["day"] <= 3])
    found = check.run(lenient, "2013-03")
    assert found.verdict == "wait"
    assert "labels of 3 days are fewer than drift.min_days 5" in found.why
    assert (found.found.now.loss if found.found.now else 0) > 0


def test_late_labels_that_change_old_rows_are_said(arrived: Path, lenient: Params) -> None:
    def late(rows: pd.DataFrame) -> pd.DataFrame:
        rows = rows.iloc[2:].copy()
        rows.loc[rows.index[:40], "arr_delay"] = 99.0
        return rows

    spoil(arrived, late, "2013-01")
    found = check.run(lenient, "2013-03")
    assert found.revisions == (Revision("flights/2013-01.parquet", added=0, removed=2, altered=40),)
    assert (
        "The source has changed `flights/2013-01.parquet` since it was fetched: 40 rows altered"
        in workspace.DRIFT_PAGE.read_text()
    )


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda rows: pd.concat([rows, rows.iloc[:3]]), "flights: duplicate key .*: 6 rows"),
        (
            lambda rows: rows.rename(columns={"carrier": "airline"}),
            "carrier: .*; if the source has renamed it to airline, rename it",
        ),
        (lambda rows: rows.iloc[:0], "is empty"),
    ],
    ids=["duplicates", "a renamed column", "no rows"],
)
def test_broken_data_stop_and_leave_no_decision(change: Callable, why: str, arrived: Path, lenient: Params) -> None:
    spoil(arrived, change)
    with pytest.raises(Failure, match=why):
        check.run(lenient, "2013-03")
    assert not workspace.DRIFT.exists()


def test_a_further_column_changes_no_decision(
    arrived: Path, lenient: Params, capsys: pytest.CaptureFixture[str]
) -> None:
    usual = check.run(lenient, "2013-03")
    spoil(arrived, lambda rows: rows.assign(gate="A1", distance=rows["distance"].astype(float)))
    found = check.run(lenient, "2013-03")
    assert (found.verdict, found.why, found.comparison) == (usual.verdict, usual.why, usual.comparison)
    assert "does not name it: flights.gate" in capsys.readouterr().out


def test_a_column_that_is_suddenly_missing_stops(arrived: Path, lenient: Params) -> None:
    file = arrived / "weather" / "2013-03.parquet"
    pd.read_parquet(file).assign(temp=float("nan")).to_parquet(file, index=False)
    with pytest.raises(Failure, match=r"features\.temp: missing in .* of the newest period's rows"):
        check.run(lenient, "2013-03")


def test_a_label_from_the_future_stops(arrived: Path, lenient: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pd.Timestamp, "now", lambda: pd.Timestamp("2013-03-01"))
    with pytest.raises(Failure, match=r"a label of 2013-03-06 .* has arrived before its time"):
        check.run(lenient, "2013-03")


@pytest.mark.parametrize("error", [Failure("it did not converge"), ValueError("a label is NaN"), MemoryError()])
def test_a_challenger_that_cannot_be_trained_is_a_red_check_with_its_evidence(
    error: Exception, arrived: Path, lenient: Params, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    def fail(*_):
        raise error

    monkeypatch.setattr(train, "fit", fail)
    monkeypatch.setattr(drift, "into", lambda *_: None)
    monkeypatch.setattr(drift.params, "load", lambda: lenient)
    assert main(["drift", "--month", "2013-03"]) == 1
    found = json.loads(workspace.DRIFT.read_text())
    assert (found["verdict"], found["retrain"], found["withdraw"]) == ("failed", False, False)
    assert "the challenger for 2013-03 could not be trained: " in found["why"]
    assert "The champion's log loss is" in capsys.readouterr().out


def test_where_a_budget_is_spent_no_challenger_is_trained(
    arrived: Path, lenient: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train, "fit", lambda *_: pytest.fail("trained"))
    found = check.run(made.changed(lenient, drift__minutes_per_month=0.0), "2013-03")
    assert found.verdict == "skip"
    files.write(workspace.DRIFT_LOG, decisions.encoded(replace(decisions.entry(found), seconds=61.0)))
    found = check.run(made.changed(lenient, drift__minutes_per_month=1.0), "2013-03")
    assert found.verdict == "wait", "the next month has another budget"
    assert "compute minutes this month are all" in found.why


def test_nothing_new_is_no_error(project: Path, settings: Params, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setattr(drift.params, "load", lambda: made.changed(settings, fetch__until="2013-12"))
    assert not main(["drift"])
    assert "there is nothing new" in capsys.readouterr().out
    assert json.loads(workspace.DRIFT.read_text())["retrain"] is False


@pytest.fixture
def checked(arrived: Path, lenient: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command finds these settings, and March where it has arrived."""
    monkeypatch.setattr(drift, "into", lambda *_: None)
    monkeypatch.setattr(drift.params, "load", lambda: lenient)


def test_a_look_keeps_nothing_and_push_keeps_the_decision(checked: None, capsys) -> None:
    assert main(["drift", "--month", "2013-03"]) == 0
    assert decisions.read() == []
    assert main(["drift", "--month", "2013-03", "--push"]) == 0
    (entry,) = decisions.read()
    found = json.loads(workspace.DRIFT.read_text())
    assert (entry.period, entry.verdict, entry.why) == (found["month"], found["verdict"], found["why"])
    assert entry.seconds > 0
    assert sorted(path.stem for path in workspace.WINDOWS_KEPT.iterdir()) == sorted(found["windows"])
    capsys.readouterr()
    main(["drift", "--month", "2013-03"])
    assert f"| 2013-03 | {entry.verdict} |" in capsys.readouterr().out, "the page shows the checks before"


def test_where_the_store_cannot_be_had_nothing_is_decided_or_lost(
    checked: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    """Without the log a workflow does not know what was spent. With an older one the decision stands, and waits."""
    shutil.rmtree(workspace.STORE, ignore_errors=True)
    made.git("remote", "add", "origin", str(tmp_path / "gone.git"))
    with monkeypatch.context() as workflow:
        workflow.setattr(drift.store.github, "inside", lambda: True)
        assert main(["drift", "--month", "2013-03", "--push"]) == 1
    assert "so the store is not available" in capsys.readouterr().err
    assert not workspace.DRIFT.exists()
    assert main(["drift", "--month", "2013-03", "--push"]) == 1
    assert "it is kept in .store, push again later" in capsys.readouterr().err
    assert json.loads(workspace.DRIFT.read_text())["month"] == "2013-03"
    assert [entry.period for entry in decisions.read()] == ["2013-03"]


def test_half_of_the_newest_month_waits_for_the_rest(
    arrived: Path, lenient: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was judged for good, and asked to withdraw an open proposal."""
    monkeypatch.setattr("delivery.drift.judgement.periods", lambda: ["2013-01", "2013-02", "2013-03"])
    spoil(arrived, lambda rows: rows[rows["day"] <= 5])
    found = check.run(lenient, "2013-03")
    assert (found.verdict, found.withdraw) == ("wait", False)
    assert found.why == "5 of about 6 days have arrived: the period is not over"


def test_the_digest_of_the_rows_changes_with_them_alone(arrived: Path, lenient: Params) -> None:
    before = check.data("2013-03", lenient)
    spoil(arrived, lambda rows: rows.sample(frac=1.0, random_state=1))
    assert check.data("2013-03", lenient) == before
    assert check.run(lenient, "2013-03").data == before
    spoil(arrived, lambda rows: rows.assign(arr_delay=rows["arr_delay"].clip(upper=0.0)))
    assert check.data("2013-03", lenient) != before

    _, rows = arrival.checked("2013-03", lenient)
    assert check.digest(rows, "2013-02") != check.digest(rows, "2013-01"), (
        "what the champion has learnt from is not in it"
    )


def test_a_failure_stays_red_though_an_earlier_decision_is_made_again(
    project: Path, settings: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: Any = SimpleNamespace(period="2013-03", verdict="retrain", retrain=True, windows=())
    entries = [LogEntry(period="2013-04", verdict="failed"), LogEntry(period="2013-03", verdict="retrain")]
    monkeypatch.setattr(drift.agenda, "take", lambda *_: drift.agenda.Taken(entries, found))
    monkeypatch.setattr(check, "draw", lambda *_: None)
    monkeypatch.setattr(check, "conclude", lambda *_: None)
    files.write(workspace.DRIFT_PAGE, "**Retrain for 2013-03.**")
    assert main(["drift"]) == 1
