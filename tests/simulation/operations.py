"""What an operator does: deploys with a canary and steers it, cancels runs, and on the host `repair` and `retire`."""

from __future__ import annotations

import contextlib
import datetime
import io
import os
import random
import shutil
from typing import TYPE_CHECKING

from delivery.__main__ import main
from simulation.clones import checkout
from simulation.hosts import RATE
from simulation.steps import RIGHT, SKEWS
from simulation.violation import Violation

if TYPE_CHECKING:
    from simulation.world import Action, World

DRAWN = {"canary": 3.0, "steer": 0.5, "quiet": 0.3, "cancel": 1.5, "repair": 0.7, "retire": 0.3}
PRODUCTION = "production"
SHARES = ("10%", "10%", "25%", "99%")


def drawn(action: Action, chance: random.Random) -> Action:
    """The action with its share of traffic, or the run that it is about."""
    if action.what in ("canary", "steer"):
        return action._replace(value=chance.choice((*SHARES, "end") if action.what == "steer" else SHARES))
    if action.what == "retire":
        return action._replace(value=chance.choice(("", *SKEWS)))
    return action._replace(value=str(chance.randint(1, 9))) if action.what == "cancel" else action


def canary(world: World, action: Action) -> None:
    """Deploy what staging has to production, a share of the traffic first."""
    world.press("deploy.yml", action, version="staging", environment=PRODUCTION, canary=action.value)


def steer(world: World, action: Action) -> None:
    """Widen a canary that is held, or end it. Without one the verb says so."""
    how = ["--end"] if action.value == "end" else ["--share", action.value]
    code, printed = on_host(world, ["steer", PRODUCTION, *how])
    if code and "error: " not in printed:
        raise Violation("a red run names its cause", printed[-1500:])


def quiet(world: World, action: Action) -> None:
    """Clients ask too little for a canary, or as much as before."""
    world.steps.hosts.still(0.1 if world.steps.hosts.rate > 1 else RATE)


def cancel(world: World, action: Action) -> None:
    """Press "Cancel workflow": of a run at work, which is interrupted at its next step, or of one that waits."""
    router, queues = world.router, world.router.queues.get(world.repo.name)
    waiting = [*queues.held_back, *(one for each in queues.waiting.values() for one in each)] if queues else []
    found = [entry for entry in (*router.at_work, *waiting) if entry.record["status"] != "completed"]
    if not found:
        return
    entry = found[int(action.value) % len(found)]
    if entry in waiting:
        queues.cancel(entry)
    else:
        router.stopped.append(entry)


def repair(world: World, action: Action) -> None:
    """Repair production on its host. Raise `Violation` if the version that clients get changes, or it fails without a cause."""
    before = world.router.watch.serves(PRODUCTION)
    code, printed = on_host(world, ["repair", PRODUCTION])
    after = world.router.watch.serves(PRODUCTION)
    if before and after != before:
        raise Violation("a repair keeps what serves", f"{before} served production, now {after or 'nothing'} does")
    if code and "error: " not in printed:
        raise Violation("a red run names its cause", printed[-1500:])


def retire(world: World, action: Action) -> None:
    """Take production out of service, perhaps by a clock that is wrong. Raise `Violation` if it goes on serving."""
    code, printed = on_host(world, ["retire", PRODUCTION, "--reason", str(action)], SKEWS.get(action.value, RIGHT))
    watch = world.router.watch
    watch.look()
    now = watch.serves(PRODUCTION)
    if not code and (now or watch.alias(PRODUCTION)):
        raise Violation(
            "what is retired serves no more", f"{now or 'nothing'} serves, the alias {watch.alias(PRODUCTION)}"
        )
    if code and "error: " not in printed:
        raise Violation("a red run names its cause", printed[-1500:])
    watch.last[PRODUCTION] = now


def on_host(world: World, words: list[str], skew: datetime.timedelta = RIGHT) -> tuple[int, str]:
    """The exit code and the words of a verb that the operator runs on the host, in a clone of main, by its clock."""
    folder = world.folder / "host" / world.repo.name.partition("/")[2]
    folder.mkdir(parents=True)
    printed = io.StringIO()
    with world.steps.aside(), contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        checkout(world.repo, folder, world.repo.sha("main"))
        os.chdir(folder)
        world.steps.skew = skew
        code = main(["store", "pull"]) or main(words)
    shutil.rmtree(folder.parent)
    return code, printed.getvalue()


ACTS = {"canary": canary, "steer": steer, "quiet": quiet, "cancel": cancel, "repair": repair, "retire": retire}
