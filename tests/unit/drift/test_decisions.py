"""The log of decisions in the store: no writer loses an entry."""

import json
from pathlib import Path

import made
import numpy as np
import pytest

from delivery.__main__ import main
from delivery.adapters import store
from delivery.core import documents, files, workspace
from delivery.core.errors import Failure
from delivery.drift import challenger, decisions
from delivery.drift.findings import Age, Findings, Performance
from delivery.drift.policy import Window
from delivery.drift.result import Decision, DriftResult, as_document
from delivery.drift.verdicts import LogEntry


def result(period: str = "2013-07", windows: tuple[str, ...] = ()) -> DriftResult:
    before = Performance(rows=5, loss=0.5, low=0.4, high=0.6, level=(0.2,), blocks=())
    return DriftResult(
        period=period, rows=5, champion="abc", champion_trained_on=("2013-01", "2013-04"),
        found=Findings(psi_alarm=0.25, before=before, now=None, sentences=()), evidence=(),
        age=Age("2013-04", 3, period, None, None, 0, 0.0), revisions=(), history=(), comparison=None, judged=None,
        windows=windows, verdict="retrain", why="±", streak=1, retrain=True, withdraw=False, seconds=1.5,
    )  # fmt: skip


def recorded(found: DriftResult) -> str:
    return decisions.record([decisions.entry(found)], found.windows, found.arrived)


def test_there_is_no_log_before_the_first_check(folder: Path) -> None:
    assert decisions.read() == []


def test_a_check_is_a_line_that_a_person_can_read(repository: Path) -> None:
    assert "kept on this machine" in recorded(result())
    (line,) = workspace.DRIFT_LOG.read_text().splitlines()
    assert '"why": "±"' in line
    (entry,) = decisions.read()
    assert (entry.period, entry.retrain, entry.champion_trained_on) == ("2013-07", True, "2013-01 to 2013-04")
    assert made.git("status", "--porcelain", cwd=workspace.STORE) == ""


def test_the_windows_of_challengers_are_kept_in_the_store(repository: Path) -> None:
    files.write_json(workspace.WINDOWS_CACHE / "k1.json", {"month": "2013-07"})
    recorded(result(windows=("k1", "k2")))
    assert json.loads((workspace.WINDOWS_KEPT / "k1.json").read_text()) == {"month": "2013-07"}


@pytest.mark.parametrize("broken", ["{", '{"month": "2013-07", "rows": [1], "gains": [], "gaps": [1], "remains": [1]}'])
def test_a_window_that_is_broken_in_the_store_can_be_replaced(broken: str, remote: Path) -> None:
    window = Window("2013-07", *(np.array([float(number)]) for number in (20, 1, 2, 3)))
    challenger.remember("k1", window)
    recorded(result(windows=("k1",)))
    kept = workspace.WINDOWS_KEPT / "k1.json"
    kept.write_text(broken)
    advice = "delete it, run `delivery store push` and run `delivery drift`"
    with pytest.raises(Failure, match=f"{kept} is no window of a drift check .*; {advice}"):
        challenger.recall("k1")
    kept.unlink()
    (workspace.WINDOWS_CACHE / "k1.json").unlink()
    assert main(["store", "push"]) == 0
    store.pull()
    assert challenger.recall("k1") is None, "so that a check measures it"
    challenger.remember("k1", window)
    assert recorded(result(windows=("k1",))) == "store: pushed"
    (workspace.WINDOWS_CACHE / "k1.json").unlink()
    found = challenger.recall("k1")
    assert found is not None
    assert (found.period, found.gains.tolist()) == ("2013-07", [1.0])


@pytest.fixture
def remote(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    hub = tmp_path_factory.mktemp("hub") / "origin.git"
    made.git("init", "--quiet", "--bare", str(hub))
    made.git("remote", "add", "origin", str(hub))
    return hub


def test_two_checks_at_once_are_both_kept(remote: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    assert recorded(result("2013-06")) == "store: pushed"
    other = tmp_path_factory.mktemp("other") / "store"
    made.git("clone", "--quiet", "--branch", "store", str(remote), str(other))
    with (other / "drift" / "log.jsonl").open("a") as file:
        file.write(decisions.encoded(decisions.entry(result("2013-07"))))
    made.commit("Another check", cwd=other)
    made.git("push", "--quiet", "origin", "HEAD:store", cwd=other)
    assert recorded(result("2013-08")) == "store: pushed"
    assert [entry.period for entry in decisions.read()] == ["2013-06", "2013-07", "2013-08"]


def test_without_an_answer_the_line_stays_on_this_machine(remote: Path) -> None:
    recorded(result("2013-06"))
    remote.rename(remote.with_name("gone.git"))
    with pytest.raises(Failure, match=r"the store could not be pushed: .* it is kept in \.store, push again later"):
        recorded(result("2013-07"))
    assert [entry.period for entry in decisions.read()] == ["2013-06", "2013-07"]
    remote.with_name("gone.git").rename(remote)
    assert store.push("Again") == "store: pushed"


def test_a_broken_line_is_named(folder: Path) -> None:
    files.write(workspace.DRIFT_LOG, '{"month": "2013-06"}\n<<<<<<<\n')
    with pytest.raises(Failure, match="line 2 is not JSON"):
        decisions.read()


def test_a_line_that_is_no_decision_is_named(folder: Path) -> None:
    files.write(workspace.DRIFT_LOG, '{"month": "2013-06"}\n{"verdict": "no"}\n')
    with pytest.raises(Failure, match="line 2 is not a decision .*month"):
        decisions.read()


def test_an_entry_of_an_earlier_version_lacks_fields_and_one_of_a_later_has_more(folder: Path) -> None:
    lines = [
        '{"month": "2013-06"}',
        '{"month": "2013-07", "verdict": "retrain", "retrain": true, "new": 1}',
    ]
    files.write(workspace.DRIFT_LOG, "\n".join(lines) + "\n")
    assert decisions.read() == [
        LogEntry(period="2013-06"),
        LogEntry(period="2013-07", verdict="retrain", retrain=True),
    ]


def test_a_decision_is_read_back_from_what_a_check_wrote(folder: Path) -> None:
    files.write_json(workspace.DRIFT, as_document(result()))
    assert documents.read(workspace.DRIFT, Decision, "drift") == Decision("2013-07", "retrain", True, False, "±")
    assert documents.read(workspace.DRIFT, DriftResult, "drift") == result()
