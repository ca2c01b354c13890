"""Write and read the prediction log: JSON lines in rotating files, one line per answered request.

Several processes may write to one folder. Each holds a lock on the file that it writes, which the others leave alone.
"""

import fcntl
import logging
import os
import re
import secrets
import socket
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from delivery.core.errors import Failure

logger = logging.getLogger(__name__)
MEGABYTE = 1 << 20
DAY = 86_400.0  # seconds
PATTERN = "predictions-*.jsonl"
HOST_LETTERS = 63  # of a host or pod in a file's name


class Event(NamedTuple):
    """One answered request, as the endpoint passes it to the recorder."""

    start: float  # when the request began, on time.perf_counter's clock
    seconds: float  # from start to answer
    request_id: bytes
    body: bytes  # the request as received: valid JSON, an object or an array of objects
    answer: bytes  # the array of scores, as JSON
    rows: list[tuple[Any, ...]]
    scores: list[Any]  # floats, or lists of floats with more than two classes
    inputs: bytes  # the encoded rows
    client: str = ""  # name of the token, letters, digits, `.`, `_` and `-`
    ignored: Sequence[str] = ()  # fields that the schema does not know, once for each row


class Line(msgspec.Struct):
    """One line of a log file, as `read` returns it."""

    time: float
    id: str
    version: str
    rows: list[dict[str, Any]]
    scores: list[float | list[float]]
    client: str = ""  # name of the token, if it has one


class Retention(msgspec.Struct, frozen=True):
    """How much of the log is kept. Files that are still written are never deleted."""

    file_bytes: int = 64 * MEGABYTE  # of one file, about
    total_bytes: int = 1024 * MEGABYTE
    days: float = 90.0  # since the last line of a file


def host() -> str:
    """Return the name of this host or pod, as it may be part of a file's name."""
    return re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname())[:HOST_LETTERS] or "host"


class Log:
    """A log that appends to one file at a time in `folder`; only the recorder's thread writes."""

    def __init__(self, folder: Path, version: str, retention: Retention = Retention()):
        """Prepare the log. `open`, or the first line, creates a file: a service that cannot start leaves none."""
        self.folder, self.retention = folder, retention
        named = msgspec.json.encode(version).replace(b"%", b"%%")
        self.form = b'{"time":%%.6f,"id":"%%b",%%b"version":%b,"rows":%%b,"scores":%%b}\n' % named
        self.writer = secrets.token_hex(4)  # processes in containers have the same id
        self.written = self.dropped = self.deleted = self.size = self.lines = self.serial = 0
        self.descriptor: int | None = None
        self.path = folder
        self.complained = -60.0

    def open(self) -> None:
        """Start the first file. Raise `Failure` if that is impossible."""
        try:
            self._open()
        except OSError as error:
            raise Failure(f"the prediction log cannot be written to {self.folder}: {error.strerror}") from None

    def write(self, events: list[Event]) -> None:
        """Append the events. Never raise: lines that cannot be written count in `dropped` and are logged once a minute."""
        if not events:
            return
        clock = time.time() - time.perf_counter()
        block = b"".join([self._line(event, clock) for event in events])
        try:
            if self.descriptor is None or self.size > self.retention.file_bytes:
                self._open()
            self._append(block)
            if self._lost():  # the block is where nobody can read it
                self._open()
                self._append(block)
        except OSError as error:
            self.drop(len(events), str(error))
        else:
            self.written += len(events)
            self.lines += len(events)

    def drop(self, count: int, why: str) -> None:
        """Count lines that are not written, and log the reason at most once a minute."""
        self.dropped += count
        if time.monotonic() - self.complained >= 60:
            self.complained = time.monotonic()
            logger.error("prediction log: %d lines dropped so far (%s); requests are answered", self.dropped, why)

    def close(self) -> None:
        """Close the current file, and remove it if it is empty. Count its lines as dropped if it is gone."""
        if self.descriptor is None:
            return
        if not (self._lost() or self.size):
            self.path.unlink(missing_ok=True)
        os.close(self.descriptor)
        self.descriptor = None

    def _lost(self) -> bool:
        """Return whether the file was removed or replaced, and count its lines as dropped."""
        assert self.descriptor is not None
        try:
            kept = os.path.samestat(os.stat(self.path), os.fstat(self.descriptor))
        except FileNotFoundError:
            kept = False
        if not kept and self.lines:
            self.drop(self.lines, f"{self.path} was removed")
            self.lines = 0
        return not kept

    def _line(self, event: Event, clock: float) -> bytes:
        body = event.body
        if b"\n" in body or b"\r" in body:  # in valid JSON these occur only between tokens
            body = body.translate(None, b"\r\n")
        if body[:1] != b"[" and body.lstrip()[:1] != b"[":
            body = b"[%b]" % body
        client = b'"client":"%b",' % event.client.encode() if event.client else b""
        return self.form % (event.start + clock, event.request_id, client, body, event.answer)

    def _append(self, block: bytes) -> None:
        """Write all of the block or none of it: a partly written line would corrupt the next one."""
        assert self.descriptor is not None
        view = memoryview(block)
        try:
            while view:
                view = view[os.write(self.descriptor, view) :]
        except OSError:
            os.ftruncate(self.descriptor, self.size)
            raise
        self.size += len(block)

    def _open(self) -> None:
        self.close()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.serial += 1
        now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        self.path = self.folder / f"predictions-{now}-{host()}-{self.writer}-{self.serial:06d}.jsonl"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        self.descriptor = os.open(self.path, flags, 0o640)
        self.size = self.lines = 0
        _lock(self.descriptor)  # without locks on this file system, nobody deletes it
        self._delete_old()

    def _delete_old(self) -> None:
        """Delete the files that the retention does not keep, the oldest first."""
        found = sorted((status.st_mtime, path, status.st_size) for path, status in _files(self.folder))
        surplus = sum(size for _, _, size in found) - self.retention.total_bytes
        for changed, path, size in found:
            if surplus <= 0 and time.time() - changed <= self.retention.days * DAY:
                continue
            if _delete_closed(path):
                self.deleted += 1
                surplus -= size


def _files(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    for path in folder.glob(PATTERN):
        try:
            yield path, path.stat()
        except FileNotFoundError:  # another process was first
            continue


def _lock(descriptor: int) -> bool:
    """Return whether the file is now locked for this process. The lock ends with the descriptor or the process."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _delete_closed(path: Path) -> bool:
    """Delete a file unless a process writes it; return whether it was deleted."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        logger.warning("prediction log: %s cannot be deleted: %s", path, error.strerror)
        return False
    try:
        if not _lock(descriptor):
            return False
        path.unlink(missing_ok=True)
        return True
    except OSError as error:
        logger.warning("prediction log: %s cannot be deleted: %s", path, error.strerror)
        return False
    finally:
        os.close(descriptor)


def read(folder: Path) -> Iterator[Line]:
    """Yield every line of every file in the folder and those below it, oldest file first: a host has one folder for each slot.

    Skip a last line that was truncated by a kill.
    """
    decoder = msgspec.json.Decoder(Line)
    for path in sorted(folder.rglob(PATTERN), key=lambda path: (path.name, path)):
        try:
            file = path.open("rb")
        except FileNotFoundError:  # the service that writes the log deletes old files
            continue
        with file:
            for line in file:
                if line.endswith(b"\n"):
                    yield decoder.decode(line)
