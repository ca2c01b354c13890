"""Every plan delivers, and a reviewer of production is asked; each rule is found to be broken where the product breaks it."""

import pytest
from harness.hub import Json
from harness.plans import PLANS

from delivery.ci import unblock
from simulation import owners
from simulation.test_contributions import plant
from simulation.world import Action
from simulation.year import perform

DEPLOY = Action("deploy", value="staging", environment="production")
ROLLBACK = Action("rollback", environment="production")
APPROVE = Action("approve")
CHANGE = Action("change", value="1000007")


def planned(kind: str) -> Action:
    return Action("plan", "owner", kind, owners.REVIEWED)


def broken(*actions: Action) -> str:
    violation = perform([*actions]).violation
    return violation.rule if violation else ""


@pytest.mark.parametrize("kind", owners.KINDS)
def test_a_repository_of_every_plan_delivers(kind: str) -> None:
    history = perform([planned(kind), DEPLOY, APPROVE, CHANGE, DEPLOY, DEPLOY, ROLLBACK, APPROVE])
    assert history.violation is None, history.violation
    ran = [line for line in history.lines if "deploy by" in line]
    assert len(ran) == (2 if PLANS[kind].reviewers else 4)  # the rollback has cancelled what waited; and one at the end


def test_a_plan_that_cannot_deliver_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def insist(document: Json) -> None:
        steps = document["jobs"]["image"]["steps"]
        next(step for step in steps if step.get("id") == "attest").pop("continue-on-error")

    plant(monkeypatch, "_promote.yml", insist)
    assert broken(planned("free")) == "a good change is delivered"


def test_a_deployment_without_a_reviewer_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, "deploy.yml", lambda document: document["jobs"]["deploy"].pop("environment"))
    assert broken(planned("public"), DEPLOY) == "production moves with an approval"


def test_a_rollback_that_waits_for_another_approval_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unblock, "main", lambda _: None)
    assert broken(planned("public"), DEPLOY, ROLLBACK) == "a rollback waits for no other approval"
