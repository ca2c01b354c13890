"""What has to come to its end when nothing fails any more: each open pull request is merged, or says why not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulation import contributions, people
from simulation.violation import Violation

if TYPE_CHECKING:
    from simulation.world import World

PRESSED = (
    "land",
    "land",
    "more",
    "land",
    "land",
)  # "Update branch" and "Merge"; or, after another commit, the same again


def merged(world: World) -> None:
    """Have somebody press the buttons of every open pull request of the repository's people.

    Raise `Violation` if one stays open though its required check is not red. One that conflicts is its author's business.
    """
    from simulation.world import Action

    for pull in people.opened(world):
        if pull["base"]["ref"] != "main":
            continue
        for what in PRESSED:
            opened = people.opened(world)
            if pull not in opened or not contributions.merges(world, pull):
                break
            who = next(name for name in people.WRITERS if name != pull["user"]["login"])
            at = opened if what == "more" else people.opened(world, everybody=True)
            world.do(Action(what, who, str(at.index(pull)), "note" if what == "more" else "merge"))
        if pull["state"] == "open" and contributions.merges(world, pull):
            state = people.required(world, pull["head"]["sha"])
            if state != "failure":
                text = f"#{pull['number']}: its required check is {state or 'missing'}, however often a person tries"
                raise Violation("a pull request is merged or says why not", text)
