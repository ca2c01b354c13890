"""The approval of a commit, from GitHub's records of its pull request."""

import pytest

from delivery.adapters import github
from delivery.core.errors import Failure
from delivery.pull_requests import approval
from delivery.pull_requests.approval import Approval


@pytest.mark.parametrize(
    ("replies", "expected"),
    [
        ({"/commits/abc/pulls": []}, Approval()),
        ({"/commits/abc/pulls": [{"number": 3, "merged_at": None}]}, Approval()),
        (
            {
                "/commits/abc/pulls": [{"number": 3, "merged_at": "2026-01-01T00:00:00Z"}],
                "/pulls/3": {"merged_by": None},
                "/pulls/3/reviews": [
                    {"user": {"login": "eve"}, "state": "APPROVED"},
                    {"user": {"login": "bob"}, "state": "APPROVED"},
                    {"user": {"login": "eve"}, "state": "DISMISSED"},
                    {"user": {"login": "bob"}, "state": "COMMENTED"},
                    {"user": None, "state": "APPROVED"},
                ],
            },
            Approval("3", "bob, ghost", "ghost"),
        ),
        (
            {
                "/commits/abc/pulls": [{"number": 2, "merged_at": None}, {"number": 3, "merged_at": "2026-01-01"}],
                "/pulls/3": {"merged_by": {"login": "ada"}},
                "/pulls/3/reviews": [{"user": {"login": "eve"}, "state": "CHANGES_REQUESTED"}],
            },
            Approval("3", "nobody", "ada"),
        ),
    ],
    ids=["pushed", "closed", "merged", "merged without approval"],
)
def test_only_approvals_that_were_not_withdrawn_count(
    replies: dict, expected: Approval, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(github, "inside", lambda: True)
    monkeypatch.setattr(github, "ask", lambda method, path: replies[path] if method == "GET" else None)
    monkeypatch.setattr(github, "pages", replies.__getitem__)
    assert approval.of("abc") == expected


def test_a_refusal_is_recorded_and_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise Failure("GitHub refused GET /commits/abc/pulls: 403 no")

    monkeypatch.setattr(github, "inside", lambda: True)
    monkeypatch.setattr(github, "ask", refuse)
    assert approval.of("abc") == Approval(approved_by="unknown: GitHub refused GET /commits/abc/pulls: 403 no")


def test_outside_a_workflow_github_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(github, "inside", lambda: False)
    assert approval.of("abc") == Approval()
