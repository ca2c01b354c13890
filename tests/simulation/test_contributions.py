"""What becomes of pull requests: each rule about it is found to be broken where the workflows or verbs break it."""

import copy
from collections.abc import Callable

import pytest
from harness.hub import Json

from delivery.ci import command
from delivery.pull_requests import checks
from simulation import year
from simulation.world import Action
from simulation.year import perform

PUBLIC = Action("plan", "owner", "public")  # strangers see it
PROPOSE = Action("propose", value="77", environment="results")
STALE = Action("more", "bob", "0", "stale")
RETARGET = Action("retarget", "bob", "0")
ASK = Action("ask", "bob", "0")


def broken(*actions: Action) -> str:
    violation = perform([*actions]).violation
    return violation.rule if violation else ""


def plant(monkeypatch: pytest.MonkeyPatch, file: str, change: Callable[[Json], object]) -> None:
    """Change a workflow file."""
    documents = copy.deepcopy(year.documents())
    change(documents[file])
    monkeypatch.setattr(year, "documents", lambda: documents)


def without(kind: str) -> Callable[[Json], object]:
    return lambda document: document["on"]["pull_request"]["types"].remove(kind)


def test_a_pull_request_may_get_another_base_be_reverted_and_live_twice() -> None:
    history = perform(
        [
            PUBLIC,
            PROPOSE,
            RETARGET,
            Action("label", "bob", "0", "question"),
            Action("label", "bob", "0", "compatibility: breaking"),
            STALE,
            RETARGET,
            Action("abandon", value="0"),
            Action("reopen", value="0"),
            Action("land", value="0", environment="rebase"),
            Action("undo", value="0"),
            ASK,
            ASK._replace(who="mallory"),
            ASK._replace(who="rita"),
        ]
    )
    assert history.violation is None, history.violation
    ran = "\n".join(history.lines)
    assert "command by bob: command=success" in ran
    assert "command by mallory:  ->" in ran
    assert "promote by bob: " in ran  # of develop
    assert ran.count("promote by ada") == 3  # at first; of the merge; at the end


def test_a_report_against_the_old_base_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        plant(patched, "ci.yml", without("edited"))
        assert broken(PROPOSE, RETARGET) == "a report is of the pull request's base"
    monkeypatch.setattr(checks, "base_of_event", str)  # of a run that is dispatched for the commit of results
    assert broken(PROPOSE, RETARGET, STALE) == "a report is of the pull request's base"


def test_a_commit_without_checks_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, "ci.yml", without("synchronize"))
    assert broken(PROPOSE, STALE) == "a pull request is checked"


def test_obedience_to_strangers_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "may_write", lambda _: True)
    assert broken(PROPOSE, ASK._replace(who="rita")) == "only who may push is obeyed"
    plant(monkeypatch, "command.yml", lambda document: document["jobs"]["command"].pop("if"))
    assert broken(PUBLIC, PROPOSE, ASK._replace(who="mallory")) == "only who may push is obeyed"


def test_a_command_without_an_answer_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "RESULTS", "/result")
    assert broken(PROPOSE, ASK) == "/results is answered"


def test_a_label_that_starts_a_report_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, "ci.yml", lambda document: document["jobs"]["ci"].pop("if"))
    assert (
        broken(PROPOSE, Action("label", value="0", environment="question"))
        == "a label without a meaning starts nothing"
    )
