"""Priorities on a busy machine: what answers requests comes before what prepares to.

Linux distributes the cores among sessions (autogroup, sched(7)). The weight of a session can be lowered and, unlike a
process's nice value, raised again without privileges. On other kernels nothing changes.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

USUAL, LOW = 0, 10
TRIES, PAUSE = (
    50,
    0.05,
)  # without privileges the kernel takes one change per tenth of a second, from all processes together


def nice(process: int | str, value: int) -> None:
    """Set the nice value of the whole session of a process."""
    for _ in range(TRIES):
        try:
            Path(f"/proc/{process}/autogroup").write_text(str(value))
            return
        except BlockingIOError:
            time.sleep(PAUSE)
        except OSError:  # another kernel, or the process has gone
            return


@contextmanager
def yielding() -> Iterator[None]:
    """Lower the priority of this session meanwhile: that of the terminal or runner that started this process, too.

    If the process is killed, the priority stays low until the next time.
    """
    nice("self", LOW)
    try:
        yield
    finally:
        nice("self", USUAL)
