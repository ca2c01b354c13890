"""Wait for a condition."""

import time
from collections.abc import Callable

TICK = 0.05  # seconds between two looks


def until(condition: Callable[[], object], seconds: float, tick: float = TICK) -> bool:
    """Return True as soon as `condition` holds, False once `seconds` have passed without it.

    The condition is looked at once more after the time is up, so that a slow look is not held against it.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return bool(condition())
        time.sleep(tick)
    return True
