"""What happens to each open pull request after a push to its base."""

from pathlib import Path
from typing import Any

import made
import pytest

from delivery.__main__ import main
from delivery.adapters import git, github
from delivery.ci import refresh
from delivery.core.errors import Failure
from delivery.pull_requests import merging, proposal
from delivery.pull_requests.acceptance import LABEL

PULL: dict[str, Any] = {
    "number": 7, "labels": [], "body": "", "state": "open", "user": {"login": "ada"}, "base": {"ref": "main"},
    "head": {"ref": "tuned", "sha": "b" * 40, "repo": {"full_name": "ada/demo"}},
}  # fmt: skip


@pytest.fixture
def origin(repository: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A remote with a pull request's branch, of which the test says what merging gives."""
    remote = tmp_path_factory.mktemp("hub") / "origin.git"
    made.git("init", "--quiet", "--bare", str(remote))
    made.git("remote", "add", "origin", str(remote))
    made.git("push", "--quiet", "origin", "HEAD:main", "HEAD:tuned", "HEAD:refs/pull/7/head")
    monkeypatch.setenv("GITHUB_REPOSITORY", "ada/demo")
    monkeypatch.setattr(github, "event", lambda: {"repository": {"default_branch": "main"}})
    return remote


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is asked of GitHub, and what is said on the pull request."""
    calls: list[Any] = []
    monkeypatch.setattr(github, "ask", lambda *words: calls.append(words))
    monkeypatch.setattr(proposal, "comment_once", lambda number, text: calls.append((number, text)))
    return calls


def merges(result: merging.Merge | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merging, "merge", lambda base, head, message: result)


@pytest.mark.parametrize(("default", "base"), [("main", {}), ("trunk", {"base": "main"})])
def test_a_merge_is_pushed_and_its_results_are_asked_for(
    default: str, base: dict[str, str], origin: Path, asked: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(github, "event", lambda: {"repository": {"default_branch": default}})
    made.git("commit", "--quiet", "--allow-empty", "--message", "The merge")
    commit = git.head() or ""
    merges(merging.Merge(commit), monkeypatch)
    pull = PULL | {"labels": [{"name": LABEL}], "body": "compatibility_reason: all moved"}
    line = refresh.refresh(pull, "a" * 40, "b" * 40)
    assert line == f"#7 has `main` merged into it as {commit[:8]}; its results are made again."
    assert made.git("rev-parse", "tuned", cwd=origin).strip() == commit
    inputs = {"number": "7", "results": "true", "compatibility_reason": "all moved", **base}
    assert asked == [("POST", "/actions/workflows/ci.yml/dispatches", {"ref": "tuned", "inputs": inputs})]


def test_nothing_is_done_where_nothing_conflicts(origin: Path, asked: list, monkeypatch: pytest.MonkeyPatch) -> None:
    merges(None, monkeypatch)
    assert refresh.refresh(PULL, "a" * 40, "b" * 40) == ""
    assert asked == []


def test_a_pull_request_of_dependabot_is_left_to_it(origin: Path, asked: list, monkeypatch: pytest.MonkeyPatch) -> None:
    merges(merging.Merge("c" * 40), monkeypatch)
    line = refresh.refresh(PULL | {"user": {"login": "dependabot[bot]"}}, "a" * 40, "b" * 40)
    assert line == "#7 conflicts with `main`: Dependabot brings its own pull requests up to date."
    assert asked == []


@pytest.mark.parametrize("source", [{"full_name": "eve/demo"}, None], ids=["a fork", "a deleted fork"])
def test_a_fork_is_told_what_to_run(source: Any, origin: Path, asked: list, monkeypatch: pytest.MonkeyPatch) -> None:
    merges(merging.Merge("c" * 40), monkeypatch)
    line = refresh.refresh(PULL | {"head": PULL["head"] | {"repo": source}}, "a" * 40, "b" * 40)
    assert line == "#7 conflicts with `main`: its author has to merge it."
    ((number, text),) = asked
    assert number == 7
    assert "git merge origin/main" in text
    assert made.git("rev-parse", "tuned", cwd=origin) == made.git("rev-parse", "main", cwd=origin)


def test_a_conflict_of_code_is_named(origin: Path, asked: list, monkeypatch: pytest.MonkeyPatch) -> None:
    merges(merging.Merge(conflicts=("src/problem/model.py", "a`@ada`b")), monkeypatch)
    refresh.refresh(PULL, "a" * 40, "b" * 40)
    ((_, text),) = asked
    assert "conflicts with `main` in `src/problem/model.py`. GitHub runs no checks" in text
    assert "@ada" not in text


def test_a_branch_that_somebody_pushes_to_meanwhile_is_merged_again(
    origin: Path, asked: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = git.head() or ""
    made.git("commit", "--quiet", "--allow-empty", "--message", "Somebody's")
    moved = git.head() or ""
    made.git("push", "--quiet", "origin", "HEAD:tuned", "HEAD:refs/pull/7/head")

    def merge(base: str, head: str, message: str) -> merging.Merge:
        made.git("checkout", "--quiet", "--detach", head)
        made.git("commit", "--quiet", "--allow-empty", "--message", message)
        return merging.Merge(git.head() or "")

    monkeypatch.setattr(merging, "merge", merge)
    refresh.refresh(PULL, "a" * 40, old)
    assert made.git("rev-parse", "tuned^", cwd=origin).strip() == moved
    assert [words[1] for words in asked] == ["/actions/workflows/ci.yml/dispatches"]


def test_a_branch_that_never_comes_to_rest_is_red(origin: Path, asked: list, monkeypatch: pytest.MonkeyPatch) -> None:
    heads = iter("bcdefgh")
    merges(merging.Merge("c" * 40), monkeypatch)
    monkeypatch.setattr(refresh, "fetch", lambda branch, number: {number: next(heads) * 40})
    with pytest.raises(Failure, match="^tuned was pushed to 3 times meanwhile; start this workflow again$"):
        refresh.refresh(PULL, "a" * 40, "a" * 40)
    assert asked == []


def test_a_merge_that_github_refuses_is_left_to_the_author(
    origin: Path, asked: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook = origin / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\necho error: refusing to create or update workflow >&2; exit 1\n")
    hook.chmod(0o755)
    head = git.head() or ""
    made.git("commit", "--quiet", "--allow-empty", "--message", "The merge")
    merges(merging.Merge(git.head() or ""), monkeypatch)
    line = refresh.refresh(PULL, "a" * 40, head)
    assert line.startswith("#7 conflicts with `main`, and GitHub refuses the merge: ")
    ((number, text),) = asked
    assert number == 7
    assert "git merge origin/main" in text
    assert made.git("rev-parse", "tuned", cwd=origin).strip() == head


def test_one_that_fails_keeps_no_other_from_being_refreshed(
    origin: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def one(pull: dict[str, Any], base: str, head: str) -> str:
        assert base == git.head()
        assert head == heads[pull["number"]]
        if pull["number"] == 7:
            raise Failure("it moved on")
        return f"#{pull['number']} done" if pull["number"] == 9 else ""

    heads = {7: git.head() or ""}
    for number in (9, 10):
        heads[number] = made.git("commit-tree", "HEAD^{tree}", "-m", f"Change {number}").strip()
        made.git("push", "--quiet", "origin", f"{heads[number]}:refs/pull/{number}/head")
    others = [PULL | {"number": 8, "base": {"ref": "develop"}}, PULL | {"number": 9}, PULL | {"number": 10}]
    monkeypatch.setattr(github, "pages", lambda path: [PULL, *others])
    monkeypatch.setattr(refresh, "refresh", one)
    assert main(["refresh", "--branch", "main"]) == 1
    assert capsys.readouterr().out == "#7 is not up to date: it moved on\n#9 done\n"


def test_without_an_open_pull_request_nothing_is_fetched(
    origin: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(github, "pages", lambda path: [PULL])
    monkeypatch.setattr(refresh, "fetch", None)
    assert main(["refresh", "--branch", "develop"]) == 0
    assert capsys.readouterr().out == "no pull request into develop is open\n"


def test_branches_of_results_go_with_their_pull_requests(origin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["results/pull-7", "results/pull-8", "results/pull-x", "results/8", "my/results/pull-8"]
    made.git("push", "--quiet", "origin", *(f"HEAD:refs/heads/{name}" for name in names))
    refresh.drop_results({7})
    left = made.git("for-each-ref", "--format=%(refname:strip=2)", "refs/heads", cwd=origin).split()
    assert sorted(left) == sorted({"main", "tuned", *names} - {"results/pull-8"})
    refresh.drop_results({7})  # nothing more to delete


def test_the_name_of_a_file_that_somebody_else_chose_has_no_effect_in_a_comment() -> None:
    text = refresh.advice("main", ("src/a b.py", "x\n\n@team <b>"))
    assert "conflicts with `main` in `src/a b.py`, x @\N{ZERO WIDTH SPACE}team &lt;b&gt;. GitHub runs no checks" in text
