"""Results that go to a branch: once for each commit, and their checks too, however often the job is started again."""

from pathlib import Path

import made
import pytest

from delivery.adapters import git, github, store
from delivery.ci import results
from delivery.core.errors import Failure
from delivery.pull_requests import proposal


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


@pytest.mark.parametrize(("who", "goes"), [(store.EMAIL, True), ("ada@example.org", False)])
def test_what_another_models_job_has_pushed_is_gone_on_from_and_a_persons_work_is_not(
    repository: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, who: str, goes: bool
) -> None:
    origin = tmp_path_factory.mktemp("hub") / "origin.git"
    made.git("init", "--quiet", "--bare", str(origin))
    made.git("remote", "add", "origin", str(origin))
    Path("README.md").write_text("Two models\n")
    made.commit("Two models")
    made.git("push", "--quiet", "origin", "HEAD:refs/heads/tuned")
    before = git.head()
    Path("digits").mkdir()
    Path("digits/dvc.lock").write_text("1\n")
    made.git("add", "--all")
    made.git("commit", "--quiet", f"--author=Somebody <{who}>", "--message", "Of the other")
    made.git("push", "--quiet", "origin", "HEAD:refs/heads/tuned")
    made.git("reset", "--quiet", "--hard", before or "")
    Path("diabetes").mkdir()
    Path("diabetes/dvc.lock").write_text("1\n")
    made.commit("Of this one")
    if goes:
        results._push("tuned")
        assert made.git("ls-tree", "--name-only", "tuned", cwd=origin).split()[-2:] == ["diabetes", "digits"]
    else:
        with pytest.raises(Failure, match="tuned was not pushed to: "):
            results._push("tuned")
        assert made.git("log", "-1", "--format=%s", "tuned", cwd=origin).strip() == "Of the other"


def test_only_checks_that_this_commit_has_not_had_are_started(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def ask(method: str, path: str, body: dict | None = None) -> dict:
        asked.append((method, path, body))
        return {"workflow_runs": [{"path": ".github/workflows/ci.yml@refs/heads/slower"}]}

    monkeypatch.setattr(github, "ask", ask)
    proposal.start_checks("slower", "b" * 40, 12)
    assert "head_sha=" + "b" * 40 in asked[0][1]
    body = {"ref": "slower", "inputs": {"number": "12"}}
    assert asked[1:] == [("POST", "/actions/workflows/report.yml/dispatches", body)]
