"""A newest commit that no run of promote has looked at is found, with the command that delivers it."""

from typing import Any

import made
import pytest

from delivery.adapters import github
from delivery.core import params
from delivery.core.errors import GitHubError
from delivery.fork import delivered

HEAD, OLDER = "a" * 40, "b" * 40
AGAIN = "`gh workflow run promote.yml --ref main`"


def run(sha: str = HEAD, conclusion: str | None = "success") -> dict[str, Any]:
    return {"head_sha": sha, "conclusion": conclusion, "status": "in_progress", "html_url": "https://host/runs/5"}


@pytest.mark.parametrize(
    ("branch", "message", "runs", "state", "found", "fix"),
    [
        ("main", "Words", [run()], "ready", "promote has run for aaaaaaaa of `main`: success", ""),
        ("main", "Words", [run(conclusion="failure")], "ready", "promote has run for aaaaaaaa of `main`: failure", ""),
        ("main", "Words", [run(conclusion=None)], "ready", "promote has run for aaaaaaaa of `main`: in_progress", ""),
        (
            "main",
            "Words [skip ci]",
            [run(OLDER)],
            "missing",
            "promote has not run for aaaaaaaa of `main`: its message says `[skip ci]`",
            AGAIN,
        ),
        (
            "main",
            "Words",
            [run(OLDER)],
            "missing",
            "promote has not run for aaaaaaaa of `main`; its newest run is of bbbbbbbb",
            AGAIN,
        ),
        (
            "main",
            "Words",
            [run(conclusion="cancelled")],
            "missing",
            "promote of aaaaaaaa ended as `cancelled`: https://host/runs/5",
            AGAIN,
        ),
        ("main", "Words", [], "optional", "promote has never run", "`gh workflow run promote.yml`"),
        ("trunk", "Words", [run()], "optional", "`trunk` is delivered nowhere", "promote.branches in params.yaml"),
    ],
)
def test_the_newest_commit_and_the_newest_run_are_compared(
    branch: str,
    message: str,
    runs: list[dict[str, Any]],
    state: str,
    found: str,
    fix: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    replies = {
        "": {"default_branch": branch},
        f"/branches/{branch}": {"commit": {"sha": HEAD, "commit": {"message": message}}},
        f"/actions/workflows/promote.yml/runs?branch={branch}&per_page=1": {"workflow_runs": runs},
    }
    monkeypatch.setattr(github, "armed", lambda: True)
    monkeypatch.setattr(github, "ask", lambda method, path: replies[path])
    settings = params.load(made.ROOT / "params.yaml")
    monkeypatch.setattr(params, "load", lambda: settings)
    assert delivered.examine() == delivered.Finding(delivered.NAME, state, found, fix)  # type: ignore[arg-type]


def test_what_github_does_not_answer_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(made.ROOT)

    def refused(method: str, path: str) -> Any:
        if path == "":
            return {"default_branch": "main"}
        raise GitHubError("GitHub answers 502", status=502, reason="Bad Gateway")

    monkeypatch.setattr(github, "armed", lambda: True)
    monkeypatch.setattr(github, "ask", refused)
    assert delivered.examine().state == "unknown"
    monkeypatch.setattr(github, "armed", lambda: False)
    assert delivered.examine().state == "unknown"
