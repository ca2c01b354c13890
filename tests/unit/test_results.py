"""Results that go to a branch: once for each commit, and their checks too, however often the job is started again."""

from pathlib import Path

import made
import pytest

from delivery import git, github, results
from delivery.errors import Failure


def ours(of: str) -> str:
    """The commit of results on top of what is there."""
    made.commit(f"Results\n\n{results.MARK}: {of}")
    return git.head() or ""


def test_a_second_start_of_the_same_run_finds_its_commit_and_pushes_nothing(repository: Path) -> None:
    Path("dvc.lock").write_text("1\n")
    commit = ours("a" * 40)
    assert results.push(repository / "none", "main", "a" * 40) == commit


def test_results_of_results_are_refused(repository: Path) -> None:
    Path("dvc.lock").write_text("1\n")
    commit = ours("a" * 40)
    with pytest.raises(Failure, match="results of aaaaaaaa came out different a second time"):
        results.push(repository / "none", "main", commit)


def test_only_checks_that_this_commit_has_not_had_are_started(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def ask(method: str, path: str, body: dict | None = None) -> dict:
        asked.append((method, path, body))
        return {"workflow_runs": [{"path": ".github/workflows/ci.yml@refs/heads/slower"}]}

    monkeypatch.setattr(github, "ask", ask)
    results.start_checks("slower", "b" * 40, 12)
    assert "head_sha=" + "b" * 40 in asked[0][1]
    body = {"ref": "slower", "inputs": {"number": "12"}}
    assert asked[1:] == [("POST", "/actions/workflows/report.yml/dispatches", body)]
