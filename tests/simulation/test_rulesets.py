"""The rulesets of one person and of a team: changes of main are pull requests, and each open one can be merged in the end."""

import pytest
from harness.hub import Json

from simulation.test_contributions import plant
from simulation.world import Action
from simulation.year import perform

TEAM, SOLO = Action("rules", "owner", "team"), Action("rules", "owner", "solo")
PUBLIC = Action("plan", "owner", "public")
CHANGE = Action("change", value="1000007")
PROPOSE = Action("propose", value="77", environment="results")
MONDAYS = [each for _ in range(3) for each in (Action("monday", "clock", "1"), Action("merge"))]


def broken(*actions: Action) -> str:
    violation = perform([*actions]).violation
    return violation.rule if violation else ""


@pytest.mark.parametrize("rules", [TEAM, SOLO])
def test_main_changes_by_pull_requests_and_a_retraining_is_merged(rules: Action) -> None:
    history = perform([PUBLIC, rules, CHANGE, PROPOSE, *MONDAYS])
    assert history.violation is None, history.violation
    ran = "\n".join(history.lines)
    assert ran.count("promote by") == 5  # at first, by two people's pull requests, a retraining, at the end
    assert "refresh by" in ran


def test_a_plan_without_rulesets_takes_pushes_to_main() -> None:
    history = perform([Action("plan", "owner", "free"), TEAM, CHANGE])
    assert history.violation is None, history.violation
    assert not any("ci by ada: ci / check=success ci / report" in line for line in history.lines[4:])


def test_a_pull_request_that_can_never_be_merged_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no workflow reports the check that the ruleset requires."""

    def rename(document: Json) -> None:
        document["jobs"]["needed"] = document["jobs"].pop("required")

    plant(monkeypatch, "_ci.yml", rename)
    assert broken(PUBLIC, PROPOSE) == "a pull request is merged or says why not"


def test_the_author_of_a_pull_request_does_not_approve_it() -> None:
    land = Action("land", value="0", environment="squash")
    history = perform([PUBLIC, TEAM, PROPOSE, land])
    at = next(number for number, line in enumerate(history.lines) if line.startswith("ada: land"))
    assert not history.lines[at + 1].startswith("    ")  # nothing happens
    assert history.violation is None, history.violation
