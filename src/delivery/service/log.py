"""Write and read the prediction log: JSON lines in rotating files, one line per answered request."""

import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from delivery.core.errors import Failure

logger = logging.getLogger(__name__)
MEGABYTE = 1 << 20


class Event(NamedTuple):
    """One answered request, as the endpoint passes it to the recorder."""

    start: float  # when the request began, on time.perf_counter's clock
    seconds: float  # from start to answer
    request_id: bytes
    body: bytes  # the request as received: valid JSON, an object or an array of objects
    answer: bytes  # the array of scores, as JSON
    rows: list[tuple]
    scores: list  # floats, or lists of floats with more than two classes
    inputs: bytes  # the encoded rows


class Line(msgspec.Struct):
    """One line of a log file, as `read` returns it."""

    time: float
    id: str
    version: str
    rows: list[dict]
    scores: list[float | list[float]]


class Log:
    """A log that appends to one file at a time in `folder`; only the recorder's thread writes."""

    def __init__(self, folder: Path, version: str, file_bytes: int = 64 * MEGABYTE, files: int = 16):
        """Open the log. Keep at most `files` files of about `file_bytes` each, and delete the oldest ones beyond that."""
        self.folder, self.file_bytes, self.files = folder, file_bytes, files
        named = msgspec.json.encode(version).replace(b"%", b"%%")
        self.form = b'{"time":%%.6f,"id":"%%b","version":%b,"rows":%%b,"scores":%%b}\n' % named
        self.written = self.dropped = self.size = self.serial = 0
        self.descriptor: int | None = None
        self.complained = -60.0
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._open()
        except OSError as error:
            raise Failure(f"the prediction log cannot be written to {folder}: {error.strerror}") from None

    def write(self, events: list[Event]) -> None:
        """Append the events. Never raise: lines that cannot be written count in `dropped` and are logged once a minute."""
        if not events:
            return
        clock = time.time() - time.perf_counter()
        block = b"".join([self._line(event, clock) for event in events])
        try:
            if self.descriptor is None or self.size > self.file_bytes:
                self._open()
            self._append(block)
        except OSError as error:
            self.drop(len(events), str(error))
        else:
            self.written += len(events)

    def drop(self, count: int, why: str) -> None:
        """Count lines that are not written, and log the reason at most once a minute."""
        self.dropped += count
        if time.monotonic() - self.complained >= 60:
            self.complained = time.monotonic()
            logger.error("prediction log: %d lines dropped so far (%s); requests are answered", self.dropped, why)

    def close(self) -> None:
        """Close the current file."""
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None

    def _line(self, event: Event, clock: float) -> bytes:
        body = event.body
        if b"\n" in body or b"\r" in body:  # in valid JSON these occur only between tokens
            body = body.translate(None, b"\r\n")
        if body[:1] != b"[" and body.lstrip()[:1] != b"[":
            body = b"[%b]" % body
        return self.form % (event.start + clock, event.request_id, body, event.answer)

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
        self.serial += 1
        name = f"predictions-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{os.getpid()}-{self.serial:06d}.jsonl"
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self.descriptor = os.open(self.folder / name, flags, 0o640)
        self.size = 0
        for old in sorted(self.folder.glob("predictions-*.jsonl"))[: -self.files]:
            old.unlink(missing_ok=True)


def read(folder: Path) -> Iterator[Line]:
    """Yield every line of every file, oldest first. Skip a last line that was truncated by a kill."""
    decoder = msgspec.json.Decoder(Line)
    for path in sorted(folder.glob("predictions-*.jsonl")):
        with path.open("rb") as file:
            for line in file:
                if line.endswith(b"\n"):
                    yield decoder.decode(line)
