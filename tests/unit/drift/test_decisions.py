"""The log of decisions in the store: kept, read again, and lost by nobody."""

import json
from pathlib import Path

import made
import pytest

from delivery.adapters import store
from delivery.core import files, workspace
from delivery.core.errors import Failure
from delivery.drift import decisions


def result(month: str = "2013-07", **values) -> dict:
    base = {
        "month": month, "verdict": "retrain", "retrain": True, "withdraw": False, "why": "±", "champion": "abc",
        "champion_trained_on": ["2013-01", "2013-04"], "rows": 5, "seconds": 1.5, "windows": [],
    }  # fmt: skip
    return base | values


def test_there_is_no_log_before_the_first_check(folder: Path) -> None:
    assert decisions.read() == []


def test_a_check_is_a_line_that_a_person_can_read(repository: Path) -> None:
    assert "kept on this machine" in decisions.keep(result())
    (line,) = workspace.DRIFT_LOG.read_text().splitlines()
    assert '"why": "±"' in line
    (entry,) = decisions.read()
    assert (entry["month"], entry["retrain"], entry["champion_trained_on"]) == ("2013-07", True, "2013-01 to 2013-04")
    assert made.git("status", "--porcelain", cwd=workspace.STORE) == ""


def test_what_challengers_gained_goes_along(repository: Path) -> None:
    files.write_json(workspace.WINDOWS_CACHE / "k1.json", {"month": "2013-07"})
    decisions.keep(result(windows=["k1", "k2"]))
    assert json.loads((workspace.WINDOWS_KEPT / "k1.json").read_text()) == {"month": "2013-07"}


@pytest.fixture
def remote(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    hub = tmp_path_factory.mktemp("hub") / "origin.git"
    made.git("init", "--quiet", "--bare", str(hub))
    made.git("remote", "add", "origin", str(hub))
    return hub


def test_two_checks_at_once_are_both_kept(remote: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    assert decisions.keep(result("2013-06")) == "store: pushed"
    other = tmp_path_factory.mktemp("other") / "store"
    made.git("clone", "--quiet", "--branch", "store", str(remote), str(other))
    with (other / "drift" / "log.jsonl").open("a") as file:
        file.write(json.dumps(decisions.entry(result("2013-07"))) + "\n")
    made.commit("Another check", cwd=other)
    made.git("push", "--quiet", "origin", "HEAD:store", cwd=other)
    assert decisions.keep(result("2013-08")) == "store: pushed"
    assert [entry["month"] for entry in decisions.read()] == ["2013-06", "2013-07", "2013-08"]


def test_without_an_answer_the_line_stays_on_this_machine(remote: Path) -> None:
    decisions.keep(result("2013-06"))
    remote.rename(remote.with_name("gone.git"))
    with pytest.raises(Failure, match=r"the store could not be pushed: .* it is kept in \.store, push again later"):
        decisions.keep(result("2013-07"))
    assert [entry["month"] for entry in decisions.read()] == ["2013-06", "2013-07"]
    remote.with_name("gone.git").rename(remote)
    assert store.push("Again") == "store: pushed"


def test_a_broken_line_is_named(folder: Path) -> None:
    files.write(workspace.DRIFT_LOG, '{"month": "2013-06"}\n<<<<<<<\n')
    with pytest.raises(Failure, match="line 2 is not JSON"):
        decisions.read()
