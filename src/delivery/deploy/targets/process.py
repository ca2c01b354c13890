"""Processes of this host, found by what is among their arguments: a process id may be another process's tomorrow."""

import os
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO

from delivery.core import waiting

TICK = 0.02
STOP = 15  # seconds from SIGTERM to SIGKILL
LOOKS = 25  # so often a process without arguments is looked at, TICK apart


def start(
    words: list[str], folder: Path, variables: Mapping[str, str], log: IO[str] | int = subprocess.DEVNULL
) -> subprocess.Popen[bytes]:
    """Start a program in a folder, with these environment variables and no others; it outlives this process.

    `having` finds it from then on: the kernel shows the arguments of a program a moment after it has begun.
    """
    started = subprocess.Popen(
        words,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        env=dict(variables),
        start_new_session=True,
    )
    while not any(arguments(started.pid)) and started.poll() is None:
        time.sleep(TICK)
    return started


def having(*arguments: str) -> list[int]:
    """Return the ids of the processes that have all of these among their arguments.

    A process that just replaces its program (`exec`) shows none for a moment; it is looked at again.
    """
    wanted = {argument.encode() for argument in arguments}
    ids, waiting_for = [], [int(name) for name in os.listdir("/proc") if name.isdecimal()]
    for _ in range(LOOKS):
        changing = []
        for pid in waiting_for:
            shown = _shown(pid)
            if shown is None:
                changing.append(pid)
            elif wanted <= shown:
                ids.append(pid)
        if not changing:
            break
        time.sleep(TICK)
        waiting_for = changing
    return ids


def _shown(pid: int) -> set[bytes] | None:
    """Return a process's arguments, None if it is about to show them: it has a program, but no arguments yet.

    A process of the kernel and one that has ended have neither.
    """
    try:
        shown = Path(f"/proc/{pid}/cmdline").read_bytes()
        if shown or not os.readlink(f"/proc/{pid}/exe"):
            return set(shown.split(b"\0"))
    except OSError:
        return set()
    return None


def arguments(pid: int) -> list[str]:
    """Return the arguments of a process; none if it has gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return []


def parent(pid: int) -> int:
    """Return the id of a process's parent; 0 if the process has gone."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def end(argument: str, seconds: float = STOP) -> None:
    """End the processes that have this among their arguments: SIGTERM, and SIGKILL if they are still there later."""
    for number, patience in ((signal.SIGTERM, seconds), (signal.SIGKILL, STOP)):
        for pid in having(argument):
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        waiting.until(lambda: not having(argument), patience, TICK)
