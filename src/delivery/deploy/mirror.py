"""Ask a version what another one answers to clients, as its prediction log has it."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from delivery.core import programs
from delivery.core.errors import Failure
from delivery.deploy import follow
from delivery.deploy.targets import container, tokens
from delivery.deploy.targets.state import Slot
from delivery.probe.client import TIMEOUT
from delivery.service.log import Line

Scores = NDArray[np.float64]


class Answers(Struct, frozen=True):
    """What came of the copied requests."""

    copies: int
    failed: int
    pairs: list[tuple[Scores, Scores]]
    """For each answered request the scores that were given and the candidate's, both of shape (rows, classes)."""


def ask(folder: Path, serving: Slot, candidate: Slot, requests: int, seconds: float) -> Answers:
    """Ask the candidate what clients ask the slot that serves, for so many requests or seconds, whichever ends first."""
    headers = {"content-type": "application/json"}
    if token := tokens.read(folder).own or os.environ.get("SERVE_TOKEN"):
        headers["authorization"] = f"Bearer {token}"
    connection = HTTPConnection("127.0.0.1", candidate.port, timeout=TIMEOUT)
    pairs: list[tuple[Scores, Scores]] = []
    copies = failed = 0
    for line in followed(folder, serving, seconds):
        copies += 1
        given = np.asarray(line.scores, dtype=float).reshape(len(line.rows), -1)
        try:
            connection.request("POST", "/predict", json.dumps(line.rows), headers | {"x-request-id": line.id})
            reply = json.loads(connection.getresponse().read())
            pairs.append((given, np.asarray(reply["predictions"], dtype=float).reshape(given.shape)))
        except (OSError, HTTPException, ValueError, KeyError):
            failed += 1  # the page shows how many
            connection.close()
        if copies >= requests:
            break
    connection.close()
    return Answers(copies, failed, pairs)


def followed(folder: Path, slot: Slot, seconds: float) -> Iterator[Line]:
    """Yield what the slot answers in the next `seconds`, as its prediction log has it.

    The log is followed where it is, which may be a container whose image is older than `follow.py`: so that program goes
    there by standard input. Raise `Failure` if the log cannot be read.
    """
    command = [sys.executable, "-S", follow.__file__, str(folder / "predictions" / slot.name)]
    if slot.image:
        command = [
            "docker",
            "exec",
            "--interactive",
            container.name_of(folder, slot.name),
            "python3",
            "-S",
            "-",
            "/log",
        ]
    decoder, rest = msgspec.json.Decoder(Line), b""
    deadline = time.monotonic() + seconds
    with (
        Path(follow.__file__).open("rb") as program,
        subprocess.Popen(
            command,
            stdin=program,
            stdout=subprocess.PIPE,
            bufsize=0,
            preexec_fn=programs.with_parent(),  # noqa: PLW1509  one call into the kernel
        ) as follower,
    ):
        assert follower.stdout is not None
        try:
            while (left := deadline - time.monotonic()) > 0:
                if not select.select([follower.stdout], [], [], left)[0]:
                    return
                part = os.read(follower.stdout.fileno(), 1 << 20)
                if not part:
                    raise Failure(f"the prediction log of version {slot.version} cannot be read")
                *lines, rest = (rest + part).split(b"\n")
                yield from (decoder.decode(line) for line in lines if line)
        finally:
            follower.kill()
