"""A label of a pull request accepts a break with clients, if the description says why; nothing else does."""

import json
from pathlib import Path
from typing import Any

import made
import pytest

from delivery.adapters import github
from delivery.core.errors import Failure
from delivery.pull_requests import acceptance
from delivery.pull_requests.acceptance import LABEL, Acceptance

REASON = "compatibility_reason: all clients have moved"


def pull(number: int = 3, body: str | None = REASON, label: str = LABEL, merged: str | None = "2026") -> dict[str, Any]:
    return {"number": number, "body": body, "labels": [{"name": "bug"}, {"name": label}], "merged_at": merged}


@pytest.mark.parametrize(
    "body",
    [
        REASON,
        f"A change.\r\n\r\n{REASON}  \r\nMore.\r\n",
        f"- `compatibility_reason`: {REASON.partition(': ')[2]}",
        f"> {REASON}",
    ],
)
def test_the_label_and_a_line_of_the_description_accept(body: str) -> None:
    assert acceptance.given(pull(body=body)) == Acceptance("all clients have moved")


@pytest.mark.parametrize(
    "body", [None, "", "compatibility_reason:", "compatibility_reason: \r\nnext line", f"see {REASON}"]
)
def test_a_label_without_a_reason_accepts_nothing_and_says_what_is_missing(body: str | None) -> None:
    found = acceptance.given(pull(body=body))
    assert found.reason == ""
    assert found.missing.startswith(f"pull request #3 has the label `{LABEL}`; write the reason into its description")


def test_a_reason_without_the_label_accepts_nothing() -> None:
    assert acceptance.given(pull(label="compatibility")) == Acceptance()


def test_a_reason_is_cut_to_its_longest() -> None:
    assert len(acceptance.given(pull(body=f"compatibility_reason: {'a' * 9000}")).reason) == acceptance.LONGEST


def event(monkeypatch: pytest.MonkeyPatch, folder: Path, content: object) -> None:
    (folder / "event.json").write_text(json.dumps(content))
    monkeypatch.setenv("GITHUB_EVENT_PATH", str(folder / "event.json"))


def test_the_event_of_a_run_says_what_its_pull_request_accepts(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    event(monkeypatch, folder, {"action": "labeled", "pull_request": pull()})
    assert acceptance.of_event().reason == "all clients have moved"
    event(monkeypatch, folder, {"action": "unlabeled", "pull_request": pull(label="other")})
    assert acceptance.of_event() == Acceptance()


def test_a_dispatched_run_is_told_the_reason(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    event(monkeypatch, folder, {"inputs": {"number": "3", "compatibility_reason": "all clients have moved"}})
    assert acceptance.of_event() == Acceptance("all clients have moved")
    for without in ({"inputs": {"number": "3"}}, {"inputs": None}, {}):
        event(monkeypatch, folder, without)
        assert acceptance.of_event() == Acceptance()


def test_outside_a_workflow_nothing_is_accepted() -> None:
    assert acceptance.of_event() == Acceptance()
    assert acceptance.merged_since("") == Acceptance()


@pytest.fixture
def history(repository: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Three commits, the oldest first, in a workflow."""
    commits = [made.git("rev-parse", "HEAD").strip()]
    for name in ("one", "two"):
        (repository / name).write_text(name)
        made.commit(name)
        commits.append(made.git("rev-parse", "HEAD").strip())
    monkeypatch.setattr(github, "inside", lambda: True)
    return commits


def replies(monkeypatch: pytest.MonkeyPatch, pulls: dict[str, list[dict[str, Any]]]) -> None:
    monkeypatch.setattr(github, "ask", lambda method, path: pulls.get(path.split("/")[2], []))


def test_a_merge_whose_own_promotion_was_skipped_still_accepts(
    history: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, one, _ = history
    replies(monkeypatch, {one: [pull(), pull(2, "compatibility_reason: another", merged=None)]})
    assert acceptance.merged_since(first).reason == "all clients have moved", "of the pull request that was merged"
    assert acceptance.merged_since(one) == Acceptance(), "it is delivered already"


@pytest.mark.parametrize("unknown", ["", "0" * 40])
def test_with_no_commit_that_serves_the_last_one_counts(
    unknown: str, history: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    replies(monkeypatch, {history[1]: [pull(2, "compatibility_reason: older")], history[2]: [pull()]})
    assert acceptance.merged_since(unknown).reason == "all clients have moved"


def test_several_merges_give_their_reasons_and_one_without_a_reason_is_named(
    history: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    replies(monkeypatch, {history[1]: [pull(2, "compatibility_reason: older")], history[2]: [pull(), pull()]})
    assert acceptance.merged_since(history[0]) == Acceptance("all clients have moved; older")
    replies(monkeypatch, {history[2]: [pull(body="")]})
    assert acceptance.merged_since(history[0]).missing.startswith("pull request #3 has the label")


def test_what_github_refuses_is_accepted_by_nobody(history: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def down(method: str, path: str) -> None:
        raise Failure("GitHub does not answer")

    monkeypatch.setattr(github, "ask", down)
    expected = "the labels of the merged pull requests are not known: GitHub does not answer"
    assert acceptance.merged_since("") == Acceptance(missing=expected)
