"""Who comes first on a busy machine: what answers requests, then what only prepares to.

Linux shares the cores out between sessions (autogroup, sched(7)). What a session gets can be lowered and, other than a
process's nice value, raised again without any right. Where it does not share them so, nothing changes.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

USUAL, LOW = 0, 10
TRIES, PAUSE = 50, 0.05  # the kernel takes one change in a tenth of a second from all who have no rights


def nice(process: int | str, value: int) -> None:
    """For the whole session of a process."""
    for _ in range(TRIES):
        try:
            Path(f"/proc/{process}/autogroup").write_text(str(value))
            return
        except BlockingIOError:
            time.sleep(PAUSE)
        except OSError:  # another kernel, or the process has gone
            return


@contextmanager
def giving_way() -> Iterator[None]:
    """For as long as it takes. The terminal or the runner that this process belongs to gives way with it; where the
    process is killed, until the next time.
    """
    nice("self", LOW)
    try:
        yield
    finally:
        nice("self", USUAL)
