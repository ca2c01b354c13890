"""What an operator does on a host: `repair` and `retire`."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
from typing import TYPE_CHECKING

from delivery.__main__ import main
from simulation.clones import checkout
from simulation.violation import Violation

if TYPE_CHECKING:
    from simulation.world import Action, World

DRAWN = {"repair": 0.7, "retire": 0.3}
PRODUCTION = "production"


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
    """Take production out of service. Raise `Violation` if it goes on serving, or is not on record."""
    code, printed = on_host(world, ["retire", PRODUCTION, "--reason", str(action)])
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


def on_host(world: World, words: list[str]) -> tuple[int, str]:
    """The exit code and the words of a verb that the operator runs on the host, in a clone of main."""
    folder = world.folder / "host" / world.repo.name.partition("/")[2]
    folder.mkdir(parents=True)
    printed = io.StringIO()
    with world.steps.aside(), contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        checkout(world.repo, folder, world.repo.sha("main"))
        os.chdir(folder)
        code = main(["store", "pull"]) or main(words)
    shutil.rmtree(folder.parent)
    return code, printed.getvalue()


ACTS = {"repair": repair, "retire": retire}
