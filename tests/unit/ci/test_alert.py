"""One issue for a scheduled workflow that is red: its state is that of the newest runs, its text names the cause."""

import argparse
from typing import Any

import pytest

from delivery.adapters import github
from delivery.ci import alert
from delivery.core.errors import Failure, GitHubError
from delivery.pull_requests import issues

FILE = ".github/workflows/drift.yml"
TITLE = "The scheduled workflow drift is red"


def run(ident: int, conclusion: str = "failure", event: str = "schedule") -> dict[str, Any]:
    when = f"2026-03-{ident:02}T02:00:00Z"
    return {"id": ident, "conclusion": conclusion, "event": event, "created_at": when, "html_url": f"https://x/{ident}"}


@pytest.mark.parametrize(
    ("runs", "found"),
    [
        ([], []),
        ([run(3, "success"), run(2)], []),
        ([run(3), run(2), run(1, "success"), run(0)], [3, 2]),
        ([run(3), run(2, "cancelled"), run(1, "timed_out")], [3, 1]),
        ([run(3, "skipped"), run(2, "success")], []),
        ([run(3, event="push"), run(2, event="workflow_dispatch")], [2]),
    ],
    ids=["none", "green", "two", "one is cancelled", "skipped", "another event"],
)
def test_what_was_cancelled_or_skipped_decides_nothing(runs: list[dict[str, Any]], found: list[int]) -> None:
    assert [each["id"] for each in alert.in_a_row(runs)] == found


class Hub:
    """GitHub: the runs of one workflow, one failed job, and issues."""

    def __init__(self, runs: list[dict[str, Any]], said: Any = (), known: tuple[str, ...] = ()) -> None:
        self.runs, self.said, self.known = runs, said, known
        self.kept: list[tuple[str, str]] = []

    def ask(self, _: str, path: str) -> Any:
        if path == "":
            return {"default_branch": "main"}
        if path.startswith("/actions/workflows/drift.yml/runs?branch=main&status=completed"):
            return {"workflow_runs": self.runs}
        if path.startswith("/actions/runs/"):
            steps = [
                {"name": "Set up", "conclusion": "success"},
                {"name": "Run delivery drift", "conclusion": "failure"},
            ]
            job = {"id": 70, "name": "drift", "conclusion": "failure", "steps": steps}
            return {"jobs": [{"id": 69, "name": "due", "conclusion": "success", "steps": []}, job]}
        assert path.startswith("/check-runs/70/annotations")
        if isinstance(self.said, Exception):
            raise self.said
        return [{"annotation_level": level, "message": text} for level, text in self.said]

    def keep(self, title: str, text: str) -> str:
        self.kept.append((title, text))
        return "Kept."


def alerted(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    monkeypatch.setenv("GITHUB_REPOSITORY", "acme/demo")
    monkeypatch.setattr(github, "ask", hub.ask)
    monkeypatch.setattr(issues, "keep", hub.keep)
    monkeypatch.setattr(issues, "exists", lambda title: title in hub.known)
    alert.main(argparse.Namespace(workflow=FILE))
    return hub.kept


def test_a_red_run_is_told_with_its_step_and_its_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    said = [("warning", "old"), ("failure", "the source has no 2013-06\nfix `it`"), ("failure", f"{alert.EXIT} 1.")]
    ((title, text),) = alerted(Hub([run(9), run(2), run(1, "success")], said), monkeypatch)
    assert title == TITLE
    assert (
        "**2 runs in a row have failed, the first on 2026-03-02.** The newest is [9](https://x/9) of 2026-03-09."
        in text
    )
    assert "- job `drift`, step `Run delivery drift`" in text
    assert "the source has no 2013-06 fix" in text
    assert alert.EXIT not in text
    assert "old" not in text
    assert "/acme/demo/blob/main/docs/reference/workflows.md#drift" in text
    assert "`gh workflow run drift.yml`" in text


def test_without_an_error_of_its_own_a_job_has_the_runners(monkeypatch: pytest.MonkeyPatch) -> None:
    ((_, text),) = alerted(Hub([run(9)], [("failure", f"{alert.EXIT} 137.")]), monkeypatch)
    assert "**A run has failed.**" in text
    assert f"  - `{alert.EXIT} 137.`" in text


def test_errors_that_github_does_not_tell_are_said_to_be_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = GitHubError("GitHub refused GET: 403", status=403, reason="no")
    ((_, text),) = alerted(Hub([run(9)], refused), monkeypatch)
    assert "  - `GitHub refused GET: 403`" in text


def test_a_green_run_closes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert alerted(Hub([run(9, "success"), run(8)]), monkeypatch) == [(TITLE, "")]


def test_a_run_by_hand_opens_no_issue_and_keeps_one_right(monkeypatch: pytest.MonkeyPatch) -> None:
    by_hand = run(9, event="workflow_dispatch")
    assert alerted(Hub([by_hand]), monkeypatch) == []
    assert len(alerted(Hub([by_hand], known=(TITLE,)), monkeypatch)) == 1
    assert len(alerted(Hub([by_hand, run(8)]), monkeypatch)) == 1


def test_one_issue_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(issues.TITLES, "drift", "Something drifts")
    assert alerted(Hub([run(9)], known=("Something drifts",)), monkeypatch) == [(TITLE, "")]
    ((_, text),) = alerted(Hub([run(9)]), monkeypatch)
    assert text


def test_an_error_line_is_one_command_of_the_runner(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    github.annotate("drift", "words")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    github.annotate("drift", "100 % wrong\n::stop-commands::x")
    assert capsys.readouterr().err == "::error title=drift::100 %25 wrong%0A::stop-commands::x\n"


def test_where_github_refuses_the_verb_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any) -> None:
        raise Failure("GitHub refused POST")

    hub = Hub([run(9)])
    monkeypatch.setattr(hub, "keep", refused)
    with pytest.raises(Failure, match="refused POST"):
        alerted(hub, monkeypatch)
