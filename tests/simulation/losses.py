"""What somebody deletes: the branch `store`, which is restored as docs/how-to/audit.md says, and artifacts that expire."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from harness.gitserver import git, refs
from harness.hub import Repo

from simulation.violation import Violation

if TYPE_CHECKING:
    from simulation.world import Action, World

STORE = "refs/heads/store"
DRAWN = {"drop": 0.3, "restore": 0.6, "expire": 0.5}


def drop(world: World, action: Action) -> None:
    """Delete the branch `store`."""
    if last := refs(world.repo.path).get(STORE):
        git(world.repo.path, "update-ref", "-d", STORE)
        world.steps.lost = last


def restore(world: World, action: Action) -> None:
    """Make the branch again at its last commit, which GitHub keeps for a while."""
    if world.steps.lost and STORE not in refs(world.repo.path):
        git(world.repo.path, "update-ref", STORE, world.steps.lost)
    world.steps.lost = ""


def expire(world: World, action: Action) -> None:
    """All artifacts are too old to be kept."""
    shutil.rmtree(world.hub.folder / "artifacts", ignore_errors=True)


def replaced(repo: Repo, lost: str) -> bool:
    """Whether a deleted store is there again. Raise `Violation` if that is without its records."""
    now = refs(repo.path).get(STORE)
    if now and git(repo.path, "merge-base", now, lost, check=False) != lost:
        raise Violation("no new store hides a lost one", f"{now[:8]} took the place of {lost[:8]}")
    return bool(now)


ACTS = {"drop": drop, "restore": restore, "expire": expire}
