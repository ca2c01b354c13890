"""The one rule of what a push may do to an environment: reverts, re-runs, documentation, two pushes at once."""

from pathlib import Path

import made
import pytest
from msgspec.structs import replace

from delivery.deploy import admission
from delivery.registry import registry, transitions
from delivery.registry.version import Lineage, lineage_tags, rolled_back

pytestmark = pytest.mark.xdist_group("registry")


@pytest.fixture
def commits(repository: Path, empty_registry: None) -> list[str]:
    """Five commits in a row, of which the first made version 1 (release `a`) and the second version 2 (release `b`)."""
    listed = [made.commit(f"Commit {number}") for number in range(5)]
    for name, commit in zip("ab", listed, strict=False):
        number = made.version(name)
        registry.tag(number, lineage_tags(Lineage(release=name, commit=commit)))
    return listed


def promote(commit: str, number: str) -> None:
    """Record that the version was promoted by a run of this commit."""
    made.git("checkout", "--quiet", commit)
    transitions.move("staging", number, "promote")


def test_a_first_push_is_taken(commits: list[str]) -> None:
    assert admission.objection("staging", "a", commits[0]) == ""
    assert admission.objection("staging", "new", commits[0]) == ""


def test_another_release_of_a_later_commit_is_taken(commits: list[str]) -> None:
    promote(commits[0], "1")
    assert admission.objection("staging", "b", commits[1]) == ""
    assert admission.objection("staging", "new", commits[2]) == ""


def test_a_push_of_documentation_ends_early_unless_a_person_started_it(commits: list[str]) -> None:
    promote(commits[1], "2")
    said = admission.objection("staging", "b", commits[2])
    assert said == "Nothing that is delivered has changed: version 2 is `staging`."
    assert admission.objection("staging", "b", commits[2], again=True) == ""


def test_what_was_rolled_back_does_not_return_with_the_next_push(commits: list[str]) -> None:
    promote(commits[0], "1")
    promote(commits[1], "2")
    transitions.record_rollback("staging", "2", "2026-11-28 by ann: wrong")
    transitions.move("staging", "1", "rollback", "wrong")
    for again in (False, True):
        assert admission.objection("staging", "b", commits[2], again=again) == (
            "`staging` keeps version 1: version 2 was rolled back there (2026-11-28 by ann: wrong). "
            "`delivery deploy 2 staging` deploys it again."
        )
    assert admission.objection("production", "b", commits[2]) == "", "it was not rolled back there"
    transitions.move("staging", "2", "deploy")
    assert rolled_back(registry.find("2"), "staging") == "", "a person has accepted it"
    transitions.move("staging", "1", "deploy")
    assert admission.objection("staging", "b", commits[2]) == (
        "Nothing that is delivered has changed since version 2 was promoted; `staging` keeps version 1, which a person "
        "has deployed."
    )
    assert admission.objection("staging", "b", commits[2], again=True) == ""


def test_after_a_revert_a_run_of_the_reverted_commit_changes_nothing(commits: list[str]) -> None:
    promote(commits[0], "1")
    promote(commits[1], "2")
    assert admission.objection("staging", "a", commits[2]) == "", "the revert is delivered"
    promote(commits[2], "1")
    assert admission.objection("staging", "b", commits[1]) == (
        f"`staging` keeps version 1: {commits[2][:8]}, which came after {commits[1][:8]}, was promoted."
    )
    assert admission.objection("staging", "b", commits[3]) == "", "the revert was reverted"


def test_of_two_pushes_at_once_the_later_one_stays(commits: list[str]) -> None:
    promote(commits[3], "2")
    assert admission.objection("staging", "new", commits[2]).startswith("`staging` keeps version 2: ")
    assert admission.objection("staging", "new", commits[2], again=True).startswith("`staging` keeps version 2: ")


def test_a_promotion_that_failed_is_tried_again(commits: list[str]) -> None:
    promote(commits[0], "1")
    transitions.record_failure("staging", "2", "promote", "it was slow")
    assert admission.objection("staging", "b", commits[2]) == ""


def test_an_event_from_before_heads_were_recorded_has_the_commit_of_its_version(commits: list[str]) -> None:
    transitions.move("staging", "2", "promote")
    event = admission.promotion(registry.versions(), "staging")
    assert event is not None
    assert admission.head(replace(event, head="")) == commits[1]
