"""Rulesets as .github/rulesets has them, where the plan knows any: who may change which branch, and what they refuse.

docs.github.com/en/repositories/configuring-branches-and-merges-in-your-repository/managing-rulesets/available-rules-for-rulesets
"""

from __future__ import annotations

import json
import random
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from harness.gitserver import git
from harness.hub import Json, Repo

from simulation import ROOT

if TYPE_CHECKING:
    from simulation.world import Action, World

FILES = {"solo": "main-solo.json", "team": "main.json"}
OTHERS = ("store.json", "model-tags.json")
REFUSED = "error: GH013: Repository rule violations found for {}"  # what a push that is refused gets


def drawn(action: Action, chance: random.Random) -> Action:
    return action._replace(value=chance.choice(("", *FILES)))


def rules(world: World, action: Action) -> None:
    """Import the rulesets for one person or for a team; on a plan without rulesets GitHub refuses that."""
    if world.repo.plan.rulesets and action.value:
        read = [
            json.loads((ROOT / ".github" / "rulesets" / name).read_text()) for name in (FILES[action.value], *OTHERS)
        ]
        world.repo.rulesets = [ruleset | {"id": number} for number, ruleset in enumerate(read, 1)]


def of(repo: Repo, ref: str) -> dict[str, Json]:
    """The rules of a ref by their types, each with its parameters."""
    found: dict[str, Json] = {}
    for ruleset in repo.rulesets:
        patterns = [f"refs/heads/{repo.default}" if each == "~DEFAULT_BRANCH" else each
                    for each in ruleset["conditions"]["ref_name"]["include"]]  # fmt: skip
        if any(fnmatchcase(ref, pattern) for pattern in patterns):
            found |= {rule["type"]: rule.get("parameters", {}) for rule in ruleset["rules"]}
    return found


def by_pull_request(repo: Repo, branch: str) -> bool:
    """Whether a branch changes by pull requests only."""
    return "pull_request" in of(repo, f"refs/heads/{branch}")


def refused(repo: Repo, before: dict[str, str], after: dict[str, str]) -> str:
    """The first ref whose change the rules refuse to a job; empty if there is none."""
    for ref in sorted(before.keys() | after.keys()):
        old, new, found = before.get(ref), after.get(ref), of(repo, ref)
        if old == new or old is None:
            continue
        if new is None:
            against = {"deletion"}
        else:
            forced = git(repo.path, "merge-base", old, new, check=False) != old
            against = {"pull_request", "update"} | ({"non_fast_forward"} if forced else set())
        if against & found.keys():
            return ref
    return ""


def restore(repo: Repo, before: dict[str, str], after: dict[str, str]) -> None:
    """Undo a push that was refused: none of its refs has moved."""
    for ref in before.keys() | after.keys():
        if before.get(ref) != after.get(ref):
            git(repo.path, "update-ref", *([ref, before[ref]] if ref in before else ["-d", ref]))


def approved(repo: Repo, pull: Json, head: str, who: str) -> bool:
    """Whether enough have approved a commit: who merges it does so first, unless it is a pull request of their own."""
    wanted = (
        of(repo, f"refs/heads/{pull['base']['ref']}").get("pull_request", {}).get("required_approving_review_count", 0)
    )
    if who != pull["user"]["login"]:
        pull["approved"] = head
    return not wanted or pull.get("approved") == head


ACTS = {"rules": rules}
