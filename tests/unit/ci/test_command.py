"""`/results` in a comment: who may, whose branch is pushed to, and what is never run with a token that writes."""

from pathlib import Path
from typing import Any

import made
import pytest

from delivery.__main__ import main
from delivery.adapters import git, github
from delivery.ci import command, refresh
from delivery.core.errors import GitHubError
from delivery.pull_requests import merging

FORK = {"full_name": "eve/demo"}
PULL: dict[str, Any] = {
    "number": 7, "labels": [], "body": "", "state": "open", "user": {"login": "ada"}, "base": {"ref": "main"},
    "head": {"ref": "tuned", "repo": {"full_name": "ada/demo"}},
}  # fmt: skip


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is asked of GitHub."""
    calls: list[Any] = []
    monkeypatch.setenv("GITHUB_REPOSITORY", "ada/demo")
    monkeypatch.setattr(github, "event", lambda: {"repository": {"default_branch": "main"}})
    monkeypatch.setattr(github, "ask", lambda method, path, body=None: calls.append((method, path, body)))
    return calls


@pytest.fixture
def origin(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A remote with `main` and a pull request's head, which adds a note."""
    remote = tmp_path_factory.mktemp("hub") / "origin.git"
    made.git("init", "--quiet", "--bare", str(remote))
    made.git("remote", "add", "origin", str(remote))
    base = made.branch("main", {"params.yaml": "train:\n  rate: 0.1\n  leaf: 10\n", "dvc.lock": "0\n"}, "HEAD")
    propose(base, {"notes.md": "why\n"})
    made.git("push", "--quiet", "origin", "main")
    return remote


def propose(start: str, files: dict[str, str]) -> str:
    """Push a commit as the head of the pull request, and as its branch of this repository."""
    head = made.branch("proposed", files, start)
    made.git("push", "--quiet", "--force", "origin", "HEAD:tuned", "HEAD:refs/pull/7/head")
    made.git("checkout", "--quiet", "main")
    return head


def report(branch: str, number: int) -> tuple[str, str, dict]:
    inputs = {"number": str(number), "results": "true"}
    return "POST", "/actions/workflows/ci.yml/dispatches", {"ref": branch, "inputs": inputs}


def tip(origin: Path, branch: str) -> str:
    return made.git("rev-parse", branch, cwd=origin).strip()


def test_a_branch_of_this_repository_gets_its_results_by_the_report(origin: Path, asked: list) -> None:
    head = tip(origin, "tuned")
    text = command.make_results(PULL)
    assert text.startswith(f"The results of {head[:8]} are made again by [ci](https://github.com/ada/demo/actions")
    assert text.endswith("A commit follows if they change.")
    assert asked == [report("tuned", 7)]
    assert tip(origin, "tuned") == head


def test_a_conflict_of_results_is_settled_first(origin: Path, asked: list) -> None:
    start = git.head() or ""
    head = propose(start, {"params.yaml": "train:\n  rate: 0.1\n  leaf: 20\n", "dvc.lock": "2\n"})
    base = made.branch("main", {"params.yaml": "train:\n  rate: 0.2\n  leaf: 10\n", "dvc.lock": "1\n"}, start)
    made.git("push", "--quiet", "origin", "main")
    text = command.make_results(PULL)
    assert f"The results of {head[:8]}, with `main` merged into it, are made again" in text
    assert made.git("log", "-1", "--format=%P", "tuned", cwd=origin).split() == [head, base]
    assert asked == [report("tuned", 7)]


def test_a_conflict_of_code_is_named_and_nothing_is_pushed(origin: Path, asked: list) -> None:
    start = git.head() or ""
    head = propose(start, {"src/a.py": "1\n"})
    made.branch("main", {"src/a.py": "2\n"}, start)
    made.git("push", "--quiet", "origin", "main")
    assert "conflicts with `main` in `src/a.py`" in command.make_results(PULL)
    assert (asked, tip(origin, "tuned")) == ([], head)


@pytest.mark.parametrize("source", [FORK, None], ids=["a fork", "a deleted fork"])
def test_the_results_of_a_fork_go_to_a_branch_of_this_repository(source: Any, origin: Path, asked: list) -> None:
    made.git("push", "--quiet", "origin", "HEAD:results/pull-7")  # what an earlier command left
    before, head = tip(origin, "tuned"), propose("main", {"other.md": "why\n"})
    text = command.make_results(PULL | {"head": PULL["head"] | {"repo": source}})
    assert tip(origin, "results/pull-7") == head != before
    assert asked == [report("results/pull-7", 0)]
    assert "`git pull https://github.com/ada/demo results/pull-7 && git push`" in text


@pytest.mark.parametrize(
    ("pull", "done"),
    [
        ({"head": PULL["head"] | {"repo": FORK}}, False),
        ({"user": {"login": "dependabot[bot]"}}, False),
        ({}, True),
    ],
    ids=["a fork", "Dependabot", "a person who may push"],
)
def test_a_run_obeys_no_workflow_file_of_a_stranger(pull: dict, done: bool, origin: Path, asked: list) -> None:
    propose("main", {".github/workflows/ci.yml": "on: workflow_dispatch\n"})
    text = command.make_results(PULL | pull)
    assert ("changes `.github`" in text) is not done
    assert asked == ([report("tuned", 7)] if done else [])
    assert made.git("ls-remote", "--heads", str(origin), "results/*") == ""


def test_what_changes_on_the_base_is_no_change_of_the_pull_request(origin: Path, asked: list) -> None:
    made.branch("main", {".github/workflows/ci.yml": "on: workflow_dispatch\n"})
    made.git("push", "--quiet", "origin", "main")
    command.make_results(PULL | {"user": {"login": "dependabot[bot]"}})
    assert asked == [report("tuned", 7)]


@pytest.mark.parametrize(
    ("pull", "branch"),
    [({"user": {"login": "dependabot[bot]"}}, "tuned"), ({"head": PULL["head"] | {"repo": FORK}}, "results/pull-7")],
    ids=["Dependabot", "a fork"],
)
def test_a_run_obeys_the_newest_workflows_not_those_that_a_stranger_started_from(
    pull: dict, branch: str, origin: Path, asked: list
) -> None:
    head = tip(origin, "tuned")
    base = made.branch("main", {".github/workflows/ci.yml": "the hole is closed\n"})
    made.git("push", "--quiet", "origin", "main")
    assert "with `main` merged into it," in command.make_results(PULL | pull)
    assert made.git("log", "-1", "--format=%P", branch, cwd=origin).split() == [head, base]
    assert made.git("show", f"{branch}:.github/workflows/ci.yml", cwd=origin).strip() == "the hole is closed"
    assert len(asked) == 1


def test_workflows_that_a_merge_does_not_bring_up_to_date_start_nothing(
    origin: Path, asked: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.branch("main", {".github/workflows/ci.yml": "the hole is closed\n"})
    made.git("push", "--quiet", "origin", "main")
    monkeypatch.setattr(merging, "merge", lambda *_, **__: None)
    text = command.make_results(PULL | {"head": PULL["head"] | {"repo": FORK}})
    assert text.endswith("is not that of `main`: merge `main` into it.")
    assert asked == []
    assert made.git("ls-remote", "--heads", str(origin), "results/*") == ""


def test_what_github_refuses_to_take_is_said(origin: Path, asked: list) -> None:
    hook = origin / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\necho error: refusing to create or update workflow >&2; exit 1\n")
    hook.chmod(0o755)
    text = command.make_results(PULL | {"head": PULL["head"] | {"repo": FORK}})
    assert text.startswith("GitHub refuses a push to `results/pull-7`: ")
    assert "git merge origin/main" in text
    assert asked == []


def test_a_closed_pull_request_gets_nothing(asked: list) -> None:
    assert "is closed" in command.make_results(PULL | {"state": "closed"})
    assert asked == []


@pytest.mark.parametrize(
    ("body", "permission", "answered"),
    [
        ("/results", "write", True),
        ("/results, please\n", "write", False),
        ("/results\nplease", "admin", True),
        ("/results please", "write", True),
        ("/results", "read", False),
        ("/results", "none", False),
        ("/results", 404, False),
        ("/resultsets are fun", "admin", False),
        ("See /results", "admin", False),
    ],
)
def test_who_may_push_is_answered_and_nobody_else(
    body: str, permission: str | int, answered: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    posted: list[Any] = []

    def ask(method: str, path: str, body: Any = None) -> Any:
        if path == "/collaborators/ada/permission":
            if permission == 404:
                raise GitHubError("absent", status=404, reason="Not Found")
            return {"permission": permission}
        if method == "POST":
            posted.append((path, body))
        return PULL

    event = {"comment": {"body": body, "user": {"login": "ada"}}, "issue": {"number": 7}}
    monkeypatch.setattr(github, "event", lambda: event)
    monkeypatch.setattr(github, "ask", ask)
    monkeypatch.setattr(command, "make_results", lambda pull: f"#{pull['number']} it is.")
    assert main(["command"]) == 0
    assert posted == ([("/issues/7/comments", {"body": "#7 it is."})] if answered else [])


def test_another_refusal_of_github_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(method: str, path: str) -> Any:
        raise GitHubError("it is broken", status=500, reason="it is broken")

    monkeypatch.setattr(github, "ask", ask)
    with pytest.raises(GitHubError):
        command.may_write("ada")


def test_the_branch_of_results_is_one_that_refresh_deletes() -> None:
    assert refresh.branch_of_results(7) == f"{refresh.RESULTS}7"


@pytest.mark.parametrize("event", [{}, {"issue": {"number": 7}}], ids=["no workflow", "another event"])
def test_without_a_comment_nothing_is_done(
    event: dict, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(github, "event", lambda: event)
    assert main(["command"]) == 1
    assert "error: only the workflow command runs this verb, for a comment" in capsys.readouterr().err
