"""Whose report a comment may show, and how the one comment of a title is found and written."""

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from delivery.adapters import cml, github
from delivery.core import files, workspace
from delivery.core.errors import Failure
from delivery.pull_requests import comments

SHA = "a" * 40
RUN = comments.WorkflowRun(9, ".github/workflows/ci.yml", SHA, "tuned", "ada/demo", "https://github.com/run/9")
HEAD: dict[str, Any] = {"sha": SHA, "ref": "tuned", "repo": {"full_name": "ada/demo"}}
MARK = '![](https://cml.dev/watermark.png#{} "CML watermark {}")'


@pytest.fixture
def pull(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The pull request that GitHub tells of."""
    pull = {"state": "open", "head": dict(HEAD)}
    monkeypatch.setattr(github, "ask", lambda method, path: pull)
    return pull


def test_the_run_s_own_pull_request_is_commented(pull: dict) -> None:
    assert comments.proven_number(3, SHA, RUN) == 3


def test_a_run_without_a_pull_request_or_of_a_deleted_fork_comments_none(pull: dict) -> None:
    assert comments.proven_number(0, SHA, RUN) is None
    pull["head"] |= {"repo": None}
    assert comments.proven_number(3, SHA, replace(RUN, repository="")) is None


@pytest.mark.parametrize("change", [{"state": "closed"}, {"sha": "b" * 40}], ids=["closed", "pushed to"])
def test_a_pull_request_that_has_moved_on_is_left_alone(change: dict, pull: dict) -> None:
    pull |= {"state": change.get("state", "open")}
    pull["head"] |= {"sha": change.get("sha", SHA)}
    assert comments.proven_number(3, SHA, RUN) is None


@pytest.mark.parametrize(
    ("claimed", "run", "head"),
    [
        (SHA, {"path": ".github/workflows/other.yml"}, {}),
        ("b" * 40, {}, {}),
        (SHA, {}, {"repo": {"full_name": "eve/demo"}}),
        (SHA, {}, {"repo": None}),
        (SHA, {}, {"ref": "main"}),
    ],
    ids=["another workflow", "another commit", "another repository", "a deleted repository", "another branch"],
)
def test_what_github_contradicts_is_refused(claimed: str, run: dict, head: dict, pull: dict) -> None:
    pull["head"] |= head
    with pytest.raises(Failure, match="nothing is posted"):
        comments.proven_number(3, claimed, replace(RUN, **run))


@pytest.mark.parametrize("deleted", [False, True])
def test_a_run_is_read_with_the_repository_it_is_of(deleted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    reply = {
        "id": 9, "path": ".github/workflows/ci.yml@main", "head_sha": SHA, "head_branch": "tuned",
        "head_repository": None if deleted else {"full_name": "ada/demo"}, "html_url": "https://github.com/run/9",
    }  # fmt: skip
    monkeypatch.setattr(github, "ask", lambda method, path: reply)
    assert comments.workflow_run(9) == replace(RUN, repository="" if deleted else "ada/demo")


@pytest.fixture
def written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple]:
    """What is written through GitHub's API; CML cannot be had."""
    calls: list[tuple] = []
    monkeypatch.setattr(github, "ask", lambda *words: calls.append(words))
    monkeypatch.setattr(cml, "run", lambda *words: "it is not installed")
    files.write(workspace.COMMENT, "The report")
    return calls


def listed(monkeypatch: pytest.MonkeyPatch, *bodies: str) -> None:
    """Let the pull request have these comments."""
    by = {"login": comments.AUTHOR}
    entries = [{"id": number, "body": body, "user": by} for number, body in enumerate(bodies, 1)]
    monkeypatch.setattr(github, "pages", lambda path: entries)


def test_cml_writes_the_comment_where_it_can(written: list, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple] = []

    def run(*words: str) -> str:
        asked.append(words)
        return ""

    monkeypatch.setattr(cml, "run", run)
    listed(monkeypatch, "Hello")
    assert comments.post(3, SHA, "Report") == "by CML"
    assert written == []
    assert {"--update", "--publish=false", "--target=pr/3", "--watermark-title=Report"} < set(asked[0])


def test_without_cml_a_first_comment_carries_cml_s_mark(written: list, monkeypatch: pytest.MonkeyPatch) -> None:
    listed(monkeypatch, "Hello")
    assert comments.post(3, SHA, "Report") == "without CML (CML: it is not installed)"
    body = {"body": f"The report\n\n{MARK.format(SHA, 'Report')}"}
    assert written == [("POST", "/issues/3/comments", body)]


def test_the_newest_comment_of_the_title_is_updated(written: list, monkeypatch: pytest.MonkeyPatch) -> None:
    listed(monkeypatch, MARK.format("0", "Report"), MARK.format("0", "Report"), MARK.format("0", "Report of digits"))
    comments.post(3, SHA, "Report")
    assert [words[:2] for words in written] == [("PATCH", "/issues/comments/2")]


def test_a_comment_that_cml_would_not_see_is_updated_without_it(written: list, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cml, "run", lambda *words: pytest.fail("CML would post a second comment"))
    listed(monkeypatch, *["Hello"] * comments.FIRST_PAGE, MARK.format("0", "Report"))
    assert "there are more" in comments.post(3, SHA, "Report")
    assert [words[:2] for words in written] == [("PATCH", f"/issues/comments/{comments.FIRST_PAGE + 1}")]


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("first", [True, False], ids=["planted before", "planted after"])
def test_a_comment_of_somebody_else_is_never_updated(
    own: bool, first: bool, written: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its author could edit the verdict afterwards. CML does not look at who wrote a comment, so it is not asked."""
    monkeypatch.setattr(cml, "run", lambda *words: pytest.fail("CML would update it"))
    body = MARK.format("0", "Report")
    planted: dict[str, Any] = {"id": 1 if first else 3, "body": body, "user": {"login": "mallory"}}
    ours = [{"id": 2, "body": body, "user": {"login": comments.AUTHOR}}] if own else []
    monkeypatch.setattr(github, "pages", lambda path: sorted([planted, *ours], key=lambda entry: entry["id"]))
    assert "a comment of somebody else" in comments.post(3, SHA, "Report")
    wanted = ("PATCH", "/issues/comments/2") if own else ("POST", "/issues/3/comments")
    assert [words[:2] for words in written] == [wanted]
