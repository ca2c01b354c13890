"""One open issue for each title, which says what is so now."""

from typing import Any

import pytest

from delivery.adapters import github
from delivery.pull_requests import issues


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple]:
    """What GitHub was asked to do."""
    asked: list[tuple] = []

    def ask(method: str, path: str, body: dict[str, Any]) -> dict[str, str]:
        asked.append((method, path, body))
        return {"html_url": "https://github.com/a/b/issues/9"}

    monkeypatch.setattr(github, "ask", ask)
    return asked


def issue(login: str = "github-actions[bot]", kind: str = "Bot", **more: Any) -> dict[str, Any]:
    user = {"login": login, "type": kind}
    return {"title": "Trouble", "number": 7, "html_url": "https://x/7", "body": "much", "user": user} | more


@pytest.mark.parametrize(
    ("known", "text", "said", "change"),
    [
        ([], "much", "https://github.com/a/b/issues/9 was opened.", ("POST", "/issues", {"title": "Trouble", "body": "much"})),
        ([], "", "There is no issue to close.", None),
        ([issue()], "much", "https://x/7 says so already.", None),
        ([issue()], "more", "https://x/7 was updated.", ("PATCH", "/issues/7", {"body": "more"})),
        ([issue()], "", "https://x/7 was closed.", ("PATCH", "/issues/7", {"state": "closed", "state_reason": "completed"})),
        ([issue("eve", "User")], "", "There is no issue to close.", None),
        ([issue(pull_request={})], "", "There is no issue to close.", None),
    ],
    ids=["new", "nothing", "the same", "other", "mended", "a stranger's", "a pull request"],
)  # fmt: skip
def test_one_issue_says_what_is_so_now(
    known: list[dict[str, Any]], text: str, said: str, change: tuple | None, asked: list[tuple],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(github, "pages", lambda _: known)
    assert issues.keep("Trouble", text) == said
    assert asked == ([change] if change else [])


def test_an_issue_of_an_account_that_is_gone_is_nobody_s(asked: list[tuple], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(github, "pages", lambda _: [issue(user=None)])
    assert issues.keep("Trouble", "much") == "https://github.com/a/b/issues/9 was opened."


@pytest.mark.parametrize("known", [[], [issue()]], ids=["new", "known"])
def test_a_text_that_github_would_refuse_is_cut_at_a_line(
    known: list, asked: list[tuple], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(github, "pages", lambda _: known)
    assert issues.exists("Trouble") == bool(known)
    issues.keep("Trouble", "| a row |\n" * 10_000)
    ((_, _, body),) = asked
    assert len(body["body"]) < 65_536
    assert body["body"].startswith("| a row |\n" * 5_000)
    assert body["body"].endswith("| a row |\n\nThe summary of the workflow run has the rest.\n")


def test_what_was_cut_is_known_again(asked: list[tuple], monkeypatch: pytest.MonkeyPatch) -> None:
    text = "| a row |\n" * 10_000
    monkeypatch.setattr(github, "pages", lambda _: [])
    issues.keep("Trouble", text)
    monkeypatch.setattr(github, "pages", lambda _: [issue(body=asked[0][2]["body"])])
    assert issues.keep("Trouble", text) == "https://x/7 says so already."
