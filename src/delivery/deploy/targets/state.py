"""The state of an environment on this host: a file that is replaced atomically, and a lock to hold while changing it."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import msgspec
from msgspec import Struct

from delivery.core import files, waiting
from delivery.core.errors import Failure

GLANCE, TICK = 0.5, 0.02  # seconds: `holder` has the lock for a moment, too


class Slot(Struct, frozen=True):
    """A version that runs, or is about to."""

    name: str
    """`blue` or `green`."""
    port: int
    version: str
    model: str
    """Digest of the exported model."""
    image: str = ""
    """`name@digest`; empty: a process."""
    commit: str = ""
    since: str = ""
    """When it began to serve, in UTC."""
    access: str = ""
    """Name of the tokens that it asks for; empty: it asks for none."""
    rolled_back: bool = False
    """Whether it was left for a reason."""


class State(Struct, frozen=True):
    """The slots of an environment. A command that finds a `candidate` once it has the lock finishes or undoes it."""

    serving: Slot | None = None
    warm: Slot | None = None
    candidate: Slot | None = None


class Taken(Failure):
    """An environment that another command changes."""


class Damaged(Failure):
    """A state that cannot be read."""


def read(folder: Path) -> State:
    """Return the state, empty if nothing was deployed yet. Raise `Failure` if the file is damaged."""
    path = folder / "state.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=State)
    except FileNotFoundError:
        return State()
    except msgspec.DecodeError as error:
        raise Damaged(
            f"{path} cannot be read ({error}); `delivery repair {folder.name}` writes it again from what runs"
        ) from None


def steer(folder: Path, choice: str) -> None:
    """Leave a choice for the command that runs a canary. Raise `Failure` if none is running."""
    if not holder(folder):
        raise Failure(f"no command changes {folder.name} now, so there is no canary to steer")
    files.write(folder / "choice", choice)


def taken(folder: Path) -> str:
    """Return the choice that was left, and remove it; empty if there is none."""
    try:
        choice = (folder / "choice").read_text()
        (folder / "choice").unlink()
    except FileNotFoundError:
        return ""
    return choice


def write(folder: Path, state: State) -> None:
    """Replace the state."""
    files.write(folder / "state.json", msgspec.json.format(msgspec.json.encode(state)))


def holder(folder: Path) -> str:
    """Return the id of the process that changes the environment now; empty if none does."""
    try:
        with (folder / "lock").open() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return lock.read() or "?"
    except FileNotFoundError:
        pass
    return ""


def _took(lock: TextIO) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of an environment; the kernel frees it if the process is killed. Raise `Taken` if another has it."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a+") as lock:
        if not waiting.until(lambda: _took(lock), GLANCE, TICK):
            lock.seek(0)
            raise Taken(
                f"{folder.name} is being changed by process {lock.read() or '?'}; wait for it, then run this again"
            )
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        taken(folder)  # a choice that came too late for the canary that it was meant for
        yield
