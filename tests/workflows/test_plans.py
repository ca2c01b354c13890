"""Repositories of every plan: what GitHub refuses them, and that models are delivered all the same."""

from dataclasses import replace
from pathlib import Path

import edits
import pytest
from harness.plans import PLANS
from harness.world import World, run

DOCS = Path(__file__).parents[2] / "docs" / "reference" / "plans.md"
NAMES = {"public": "public", "free": "private, Free", "pro": "private, Pro", "team": "private, Team",
         "enterprise": "private, Enterprise Cloud", "ghes": "GitHub Enterprise Server"}  # fmt: skip
PROMOTE_ONLY = ("ci.yml", "doctor.yml", "comment.yml", "refresh.yml", "tag.yml")


def serving(world: World, environment: str) -> list[tuple]:
    with world.registry() as rows:
        return rows("select version from registered_model_aliases where alias = ?", environment)


def test_a_private_repository_without_attestations_delivers_and_goes_back(fresh):
    fresh.repo.plan = PLANS["free"]
    fresh.router.disabled = PROMOTE_ONLY
    fresh.first_push()
    fresh.settle()
    promote = run(fresh, "promote")
    assert set(promote.jobs.values()) == {"success"}
    assert "Feature not available for the acme organization" in promote.log
    assert [record["attested"] for record in fresh.records().values()] == [False]
    for environment, version in (("production", 1), ("staging", 2), ("production", 2)):
        if environment == "staging":
            fresh.pushed_reproduced(fresh.clone(), edits.params(l2_regularization=0.1))
            fresh.settle()
        else:
            fresh.router.dispatch(fresh.repo, "deploy.yml", version=str(version), environment=environment)
        assert serving(fresh, environment) == [(version,)]
    assert "; attested: no (plan)" in run(fresh, "deploy").summary
    fresh.router.dispatch(fresh.repo, "rollback.yml", environment="production")
    assert serving(fresh, "production") == [(1,)]


@pytest.mark.parametrize("private", [False, True], ids=["public", "private"])
def test_an_image_is_attested_wherever_that_was_possible_before(settled, private):
    """A public repository can always, and one whose version 1 has an attestation could then."""
    settled.router.disabled = PROMOTE_ONLY
    settled.repo.plan = replace(PLANS["team"], private=private)
    settled.pushed_reproduced(settled.clone(), edits.params(l2_regularization=0.1))
    settled.settle()
    promote = run(settled, "promote")
    assert promote.conclusion == "failure"
    assert promote.jobs["promote / image"] == ("success" if private else "failure")
    assert serving(settled, "staging") == [(1,)]
    if not private:
        return
    assert (
        "is not attested, but the image of version 1 is; run the job again, or set the repository variable"
        in promote.log
    )
    settled.repo.variables["ATTESTATIONS"] = "none"
    settled.router.dispatch(settled.repo, "promote.yml")
    assert serving(settled, "staging") == [(2,)]
    settled.router.dispatch(settled.repo, "deploy.yml", version="2", environment="production")
    assert serving(settled, "production") == [(2,)]


def test_no_workflow_starts_on_a_server_that_does_not_know_their_paths(fresh):
    fresh.repo.plan = PLANS["ghes"]
    fresh.first_push()
    assert {each.conclusion for each in fresh.settle()} == {"failure"}
    assert fresh.versions() == []


def test_the_documented_table_is_that_of_the_stand_in():
    lines = [line for line in DOCS.read_text().splitlines() if line.startswith("|")][2:]
    said = {plan: "yes" if plan else "no" for plan in (True, False)}
    assert lines == [
        f"| {NAMES[name]} | "
        + " | ".join(
            said[has] for has in (plan.own_paths, plan.attestations, plan.environments, plan.reviewers, plan.rulesets)
        )
        + " |"
        for name, plan in PLANS.items()
    ]
