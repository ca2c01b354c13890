"""What runs for an environment of one host: a file that is replaced whole, and a lock for who may change it."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from msgspec import Struct

from delivery.core import files
from delivery.core.errors import Failure


class Slot(Struct, frozen=True):
    """A version that runs, or is about to."""

    name: str  # blue or green
    port: int
    version: str
    model: str  # digest of the exported model
    image: str = ""  # name@digest
    commit: str = ""
    since: str = ""  # when it began to serve
    rolled_back: bool = False


class State(Struct, frozen=True):
    """`candidate` is there while somebody tries it; whoever finds it without the lock's holder puts things right."""

    serving: Slot | None = None
    warm: Slot | None = None
    candidate: Slot | None = None


def read(folder: Path) -> State:
    path = folder / "state.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=State)
    except FileNotFoundError:
        return State()
    except msgspec.DecodeError as error:
        raise Failure(f"{path} cannot be read ({error}); stop what runs there and remove it") from None


def write(folder: Path, state: State) -> None:
    files.write(folder / "state.json", msgspec.json.format(msgspec.json.encode(state)))


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """One change of an environment at a time; the kernel frees the lock of a process that was killed."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise Failure(
                f"{folder.name} is being changed by process {lock.read() or '?'}; wait for it, then run this again"
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield
