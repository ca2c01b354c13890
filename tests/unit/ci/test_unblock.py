"""Which runs are cancelled for a rollback, and when that ends."""

from typing import Any

import pytest

from delivery.__main__ import main
from delivery.adapters import github
from delivery.ci import unblock
from delivery.core import waiting
from delivery.core.errors import GitHubError


class GitHub:
    """Runs that wait for approvals of environments, and a rollback that waits for them."""

    def __init__(self) -> None:
        self.waiting = {
            1: ("deploy.yml", "production"), 2: ("promote.yml@refs/heads/main", "staging"), 3: ("rollback.yml", "production")
        }  # fmt: skip
        self.jobs = [{"name": "unblock", "status": "in_progress"}, {"name": "rollback", "status": "pending"}]
        self.cancelled: list[int] = []
        self.refusal = 0

    def ask(self, method: str, path: str) -> Any:
        if path == "/actions/runs/9/jobs?per_page=100":
            return {"jobs": self.jobs}
        if path == "/actions/runs?status=waiting&per_page=100":
            return {
                "workflow_runs": [
                    {
                        "id": number,
                        "name": "deploy",
                        "path": f".github/workflows/{file}",
                        "html_url": f"https://run/{number}",
                    }
                    for number, (file, _) in self.waiting.items()
                ]
            }
        number = int(path.split("/")[3])
        if path.endswith("/pending_deployments"):
            return [{"environment": {"name": self.waiting[number][1]}}]
        assert (method, path) == ("POST", f"/actions/runs/{number}/cancel")
        if self.refusal:
            raise GitHubError("refused", status=self.refusal, reason="refused")
        self.cancelled.append(number)
        return None


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> GitHub:
    made = GitHub()
    monkeypatch.setenv("GITHUB_RUN_ID", "9")
    monkeypatch.setattr(github, "ask", made.ask)
    return made


def test_what_waits_for_an_approval_of_the_environment_is_cancelled_but_no_rollback(
    hub: GitHub, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not unblock.free("production", "rollback")
    assert hub.cancelled == [1]
    assert capsys.readouterr().out == (
        "[deploy](https://run/1) was waiting for an approval of `production` and held up this rollback, so it is cancelled. "
        "Run it again if it is still wanted.\n"
    )


@pytest.mark.parametrize("status", ["queued", "waiting", "in_progress", "completed"])
def test_nothing_is_cancelled_for_a_rollback_that_waits_for_no_other_run(hub: GitHub, status: str) -> None:
    hub.jobs[1]["status"] = status
    assert unblock.free("production", "rollback")
    assert hub.cancelled == []


def test_a_job_that_is_not_listed_yet_is_waited_for(hub: GitHub) -> None:
    del hub.jobs[1]
    assert not unblock.free("production", "rollback")


def test_a_run_that_has_ended_meanwhile_is_not_cancelled(hub: GitHub, capsys: pytest.CaptureFixture[str]) -> None:
    hub.refusal = 409
    assert not unblock.free("production", "rollback")
    assert capsys.readouterr().out == ""
    hub.refusal = 403
    with pytest.raises(GitHubError):
        unblock.free("production", "rollback")


@pytest.mark.parametrize(("freed", "said"), [(True, ""), (False, "another run still changes production; ")])
def test_the_verb_goes_on_until_the_rollback_starts(
    freed: bool, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[tuple[str, str]] = []

    def free(environment: str, job: str) -> bool:
        asked.append((environment, job))
        return freed and len(asked) == 3

    def until(condition: Any, seconds: float, tick: float) -> bool:
        assert (seconds, tick) == (unblock.PATIENCE, unblock.TICK)
        return any(condition() for _ in range(4))

    monkeypatch.setattr(unblock, "free", free)
    monkeypatch.setattr(waiting, "until", until)
    assert main(["unblock", "production", "--job", "rollback"]) == 0
    assert asked == [("production", "rollback")] * (3 if freed else 4)
    assert capsys.readouterr().out.startswith(said) is True
    assert bool(said) is not freed
