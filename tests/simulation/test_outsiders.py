"""Strangers' pull requests and Dependabot's: each rule about them is found to be broken where the product breaks it."""

import pytest

from delivery.ci import command, refresh, reproduce
from simulation.world import Action
from simulation.year import perform

PUBLIC = Action("plan", "owner", "public")  # nobody else sees a private repository
FORK = Action("fork", "mallory", "77", "stale")
ADMIT = Action("admit", value="0")
ASK = Action("ask", "bob", "0")
DEPEND = Action("depend")


def broken(*actions: Action) -> str:
    violation = perform([*actions]).violation
    return violation.rule if violation else ""


def test_a_stranger_gets_results_and_takes_them_before_the_fork_is_deleted() -> None:
    actions = [PUBLIC, FORK, ADMIT, ASK, Action("take", "mallory", "0"), ADMIT, Action("gone", "mallory"), ASK]
    history = perform([*actions, Action("land", value="0", environment="squash"), DEPEND, ASK])
    assert history.violation is None, history.violation
    strangers = [line for line in history.lines if "ci by mallory" in line]
    assert ["ci / report=failure" in line for line in strangers] == [True, False]  # first without its results
    assert sum("promote by ada" in line for line in history.lines) == 3  # at first; of the merge; at the end


def test_a_run_that_obeys_an_outsider_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "workflows_differ", lambda *_: False)
    assert broken(DEPEND, ASK) == "no run obeys an outsider's workflows"


def test_a_branch_that_a_stranger_moves_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refresh, "branch_of_results", lambda _: "main-results")
    assert broken(PUBLIC, FORK, ASK) == "a stranger's pull request moves no branch"


def test_results_of_another_commit_for_a_stranger_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reproduce, "changed", list)
    assert broken(PUBLIC, FORK, ASK) == "a branch has the results of its commit"


def test_a_stranger_forks_again_after_deleting_the_fork() -> None:
    gone = Action("gone", "mallory")
    history = perform([PUBLIC, FORK, gone, FORK._replace(value="78")])
    assert history.violation is None, history.violation
