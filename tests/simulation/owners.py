"""The plan of the repository's owner, and the reviewers whom production may have where the plan has any."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from harness.hub import Repo
from harness.plans import PLANS
from harness.queues import Entry, Queues

from simulation.violation import Violation

if TYPE_CHECKING:
    from simulation.world import Action, World

KINDS = ("public", "free", "pro", "team", "enterprise")
REVIEWED = "production"


def drawn(action: Action, chance: random.Random) -> Action:
    """The action with a plan, and perhaps reviewers."""
    return action._replace(value=chance.choice(KINDS), environment=chance.choice(("", REVIEWED)))


def plan(world: World, action: Action) -> None:
    """Let the repository be of this plan; its owner may ask for reviewers of production, whatever the plan makes of that."""
    world.repo.plan = PLANS[action.value]
    if action.environment:
        world.repo.reviewers = {action.environment: ["ada"]}


def approve(world: World, action: Action) -> None:
    """Let all deployments go on, one after the other, that wait for reviewers."""
    queues = world.router.queues.get(world.repo.name)
    while queues and queues.held_back:
        queues.approve(REVIEWED)
        world.router.settle()


def unblocked(world: World, action: Action) -> None:
    """Raise `Violation` if a rollback waits behind a deployment that nobody has approved."""
    queues = world.router.queues[world.repo.name]
    if ahead := [entry for entry in queues.held_back if entry.file == "deploy.yml"]:
        raise Violation(
            "a rollback waits for no other approval", f"run {ahead[0].record['id']} holds {action.environment}"
        )


def waits(queues: Queues) -> bool:
    """Whether a run waits for something that will not come: not for reviewers, or for a run that does."""
    held = {name for entry in queues.held_back for name in entry.held}
    while behind := {one for name in held for entry in queues.waiting.get(name, []) for one in entry.held} - held:
        held |= behind  # of a run that waits for one that does
    busy = queues.running.keys() | {name for name, entries in queues.waiting.items() if entries}
    return bool(queues.ready or busy - held)


def refuse(repo: Repo, entry: Entry, before: str, now: str) -> None:
    """Raise `Violation` if production has another version though no reviewer has seen the run."""
    reviewed = repo.plan.reviewers and REVIEWED in repo.reviewers
    if reviewed and now != before and REVIEWED not in entry.environments.values():
        raise Violation(
            "production moves with an approval", f"{entry.file} moves it from {before} to {now} without one"
        )


ACTS = {"plan": plan, "approve": approve}
