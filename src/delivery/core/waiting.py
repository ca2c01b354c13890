"""Wait for a condition."""

import time
from collections.abc import Callable

TICK = 0.05  # seconds between two checks


def until(condition: Callable[[], object], seconds: float, tick: float = TICK) -> bool:
    """Return True as soon as `condition` holds, False once `seconds` have passed without it.

    Check once more after the time is up, because a slow check may have used it up.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return bool(condition())
        time.sleep(tick)
    return True
