"""Who let a commit through, from what GitHub says of its pull request."""

import pytest

from delivery.adapters import github
from delivery.pull_requests import approval


@pytest.mark.parametrize(
    ("replies", "tags"),
    [
        ({"/commits/abc/pulls": []}, {}),
        ({"/commits/abc/pulls": [{"number": 3, "merged_at": None}]}, {}),
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
            {"pull.request": "3", "approved.by": "bob, ghost", "merged.by": "ghost"},
        ),
    ],
    ids=["pushed", "closed", "merged"],
)
def test_who_approved_is_who_did_not_take_it_back(replies: dict, tags: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(github, "inside", lambda: True)
    monkeypatch.setattr(github, "ask", lambda _, path: replies[path])
    monkeypatch.setattr(github, "pages", replies.__getitem__)
    assert approval.of("abc") == tags
