"""GitHub shows what serves: each move, how it ended, and what a run that was killed has left."""

from typing import Any

import pytest

from delivery.adapters import deployments, github
from delivery.core.errors import Failure


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, dict[str, Any]]]:
    """The calls of GitHub's API; each creates deployment 5."""
    made: list[tuple[str, str, dict[str, Any]]] = []

    def ask(*words: Any) -> Any:
        if words[0] == "GET":
            return []
        made.append(words)
        return {"id": 5}

    monkeypatch.setattr(github, "ask", ask)
    monkeypatch.setenv("GITHUB_REPOSITORY", "acme/demo")
    return made


@pytest.mark.parametrize("fails", [False, True])
def test_a_deployment_is_recorded_with_its_outcome(fails: bool, calls: list, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    try:
        with deployments.deployment("staging", "abc", "Version 1", "http://127.0.0.1:8000"):
            if fails:
                raise Failure("it does not start")
    except Failure:
        assert fails
    assert [body.get("state") for _, _, body in calls] == [None, "in_progress", "failure" if fails else "success"]
    assert [words[:2] for words in calls] == [("POST", "/deployments")] + [("POST", "/deployments/5/statuses")] * 2
    assert calls[-1][2].get("environment_url") == (None if fails else "http://127.0.0.1:8000")


@pytest.mark.parametrize("fails", [False, True])
def test_an_outcome_that_github_does_not_take_changes_nothing(
    fails: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """Neither does a version that serves count as failed, nor is the reason of a failure lost."""

    def ask(method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        if body is None:
            return []
        if body.get("state") in ("success", "failure"):
            raise Failure("GitHub refused it: 502 Bad gateway")
        return {"id": 5}

    monkeypatch.setattr(github, "ask", ask)
    monkeypatch.setenv("GITHUB_REPOSITORY", "acme/demo")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    reached = []
    try:
        with deployments.deployment("production", "abc", "version 2"):
            if fails:
                raise Failure("it does not start")
        reached.append("served")
    except Failure as failure:
        reached.append(str(failure))
    assert reached == ["it does not start" if fails else "served"]
    state = "failure" if fails else "success"
    assert capsys.readouterr().out == (
        f"The Deployment is not recorded as a {state}: GitHub refused it: 502 Bad gateway\n"
    )


def test_outside_a_workflow_a_deployment_is_recorded_nowhere(calls: list) -> None:
    with deployments.deployment("staging", "abc", "Version 1"):
        pass
    assert calls == []


class Hub:
    """The Deployments of a repository, oldest first; each has its states."""

    def __init__(self, made: list[tuple[str, list[str]]]) -> None:
        self.made: list[dict[str, Any]] = [
            {"id": number, "description": text, "states": list(states)} for number, (text, states) in enumerate(made)
        ]

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        if method == "GET" and path.startswith("/deployments?environment=production&per_page="):
            return self.made[: -1 - int(path.rpartition("=")[2]) : -1]
        if method == "GET":
            return [{"state": state} for state in self.of(path)["states"][-1:]]
        assert body
        if path == "/deployments":
            self.made.append({"id": len(self.made), "description": body["description"], "states": []})
            return self.made[-1]
        self.of(path)["states"].append(body["state"])
        return None

    def of(self, path: str) -> dict[str, Any]:
        return self.made[int(path.split("/")[2])]

    def told(self) -> list[tuple[str, str]]:
        return [(each["description"], each["states"][-1]) for each in self.made]


@pytest.fixture
def hub(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Hub:
    made = Hub(request.param)
    monkeypatch.setattr(github, "ask", made.ask)
    monkeypatch.setenv("GITHUB_REPOSITORY", "acme/demo")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    return made


LEFT = [
    [("version 1", ["success"]), ("version 2", ["in_progress"])],
    [("version 1", ["success"]), ("version 2", [])],
    [("version 1", ["success"]), ("version 2", ["in_progress", "failure"])],
    [("version 2", ["success"]), ("rollback to version 1", ["success"])],
    [],
]


@pytest.mark.parametrize("hub", LEFT, indirect=True, ids=["killed", "killed at once", "lost", "another", "none"])
def test_what_serves_already_is_recorded_where_the_newest_deployment_says_otherwise(hub: Hub) -> None:
    """GitHub showed the version before as the active one until the next move."""
    deployments.correct("production", "abc", "2")
    assert hub.told()[-1] == ("version 2", "success")
    assert not [state for _, state in hub.told() if state == "in_progress"]
    count = len(hub.made)
    deployments.correct("production", "abc", "2")
    assert len(hub.made) == count, "once it is right, nothing is added"


@pytest.mark.parametrize(
    "hub",
    [[("Deployed by hand", ["in_progress"])], [("version 1", ["success"])]],
    indirect=True,
    ids=["another's", "ended"],
)
def test_only_what_a_run_of_ours_has_left_open_is_ended(hub: Hub) -> None:
    before = hub.told()
    with deployments.deployment("production", "abc", "version 2"):
        pass
    assert hub.told() == [*before, ("version 2", "success")]


@pytest.mark.parametrize("hub", [[("commit 0a1b2c3d", ["in_progress"])]], indirect=True)
def test_a_deployment_ends_the_one_whose_run_was_killed(hub: Hub) -> None:
    with deployments.deployment("production", "abc", "version 2"):
        pass
    assert hub.told() == [("commit 0a1b2c3d", "error"), ("version 2", "success")]


@pytest.mark.parametrize("hub", [[("version 1", ["in_progress"]), ("version 2", ["success"])]], indirect=True)
def test_a_deployment_ends_also_one_that_the_run_before_could_not_end(hub: Hub) -> None:
    """GitHub limits the rate of requests for a minute: the run in between saw nothing and went on."""
    with deployments.deployment("production", "abc", "version 3"):
        pass
    assert hub.told() == [("version 1", "error"), ("version 2", "success"), ("version 3", "success")]


def test_where_github_does_not_answer_what_serves_serves(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    def ask(*_: Any) -> Any:
        raise Failure("GitHub does not answer")

    monkeypatch.setattr(github, "ask", ask)
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    deployments.correct("production", "abc", "2")
    assert capsys.readouterr().out == "The Deployment of version 2 is not recorded: GitHub does not answer\n"
