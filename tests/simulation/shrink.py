"""Make a failing history small: leave out actions and faults as long as the same rule is broken."""

from collections.abc import Callable

from simulation.world import Action
from simulation.year import History, perform

Perform = Callable[[list[Action]], History]


def smallest(actions: list[Action], rule: str, perform: Perform = perform) -> list[Action]:
    """Return a part of the actions that breaks the rule, of which no single action or fault can be left out."""

    def breaks(some: list[Action]) -> bool:
        violation = perform(some).violation
        return violation is not None and violation.rule == rule

    size = len(actions) // 2
    while size:
        at = 0
        while at < len(actions):
            rest = actions[:at] + actions[at + size :]
            if breaks(rest):
                actions = rest
            else:
                at += size
        size //= 2
    for at, action in enumerate(actions):
        without = [*actions[:at], action._replace(fault=None), *actions[at + 1 :]]
        if action.fault and breaks(without):
            actions = without
    return actions
