"""Check a version against what clients send now, before it gets their requests.

Canary and watch see a version that refuses clients only once it does. The prediction log of the version that serves holds
what it accepted in the last hour; the candidate runs already and says in its OpenAPI document what it accepts.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import time
from pathlib import Path

import msgspec

from delivery.compatibility.asking import Asked, by_document, replay
from delivery.compatibility.interface import interface
from delivery.compatibility.results import Replay
from delivery.core.errors import Failure
from delivery.deploy import recent
from delivery.deploy.targets import container, loopback, slots, state
from delivery.deploy.targets.state import Slot
from delivery.service.log import Line

HOUR = 3600.0
REQUESTS = 1000  # the newest ones; to read and check them takes about 60 ms of processor time
HURRY = 200  # of a rollback, whose verb yields to what serves and must not wait for its turn long
SECONDS = (
    5.0  # that the candidate may take to show its document, or a container its log: a rollback does not wait longer
)


class Refused(Failure):
    """A version that would refuse too many of the requests that clients send."""


def argument(parser: argparse.ArgumentParser) -> None:
    """Declare the option of a verb that switches although clients would be refused. A workflow passes true or false."""
    parser.add_argument(
        "--anyway",
        nargs="?",
        const="true",
        default="false",
        choices=("true", "false"),
        help="also if the version refuses requests that clients sent in the last hour",
    )


def refuse(folder: Path | None, most: float, *, count: int = REQUESTS, anyway: bool = False) -> str:
    """Return a sentence about the newest requests of the last hour, at most `count`; empty where there are none to check.

    `folder` is that of an environment on this host. Raise `Refused` if its candidate would refuse a larger share of them
    than `most`, unless a person wants it `anyway`.
    """
    now = state.read(folder) if folder else state.State()
    if folder is None or now.serving is None or now.candidate is None:
        return ""
    outcome = asked(folder, now.serving, now.candidate, count)
    if outcome is None or not outcome.requests:
        return ""
    refused = outcome.requests - outcome.accepted
    version = f"version {now.candidate.version}"
    if refused <= most * outcome.requests:
        return f"{version} accepts {outcome.accepted:,} of the last {outcome.requests:,} requests"
    reasons = ", ".join(f"{each.reason} ({each.requests / outcome.requests:.0%})" for each in outcome.refusals[:3])
    text = f"{version} refuses {refused / outcome.requests:.0%} of the last {outcome.requests:,} requests: {reasons}"
    if anyway:
        return f"{text}; you want it anyway"
    raise Refused(
        f"{text}; deploy the old model behind the new schema, or add --anyway (docs/explanation/compatibility.md)"
    )


def asked(folder: Path, serving: Slot, candidate: Slot, count: int) -> Replay | None:
    """Return what the candidate's document says of the newest requests; None if it shows no document in time."""
    try:
        described = interface(json.loads(loopback.read(f"{slots.url(candidate)}/openapi.json", seconds=SECONDS)))
    except (OSError, ValueError):
        return None
    ask = by_document(described.row, described.limits["max_rows"])
    return replay(ask, [Asked(line.rows) for line in newest(folder, serving, count=count)], 0.0)


def newest(folder: Path, serving: Slot, seconds: float = HOUR, count: int = REQUESTS) -> list[Line]:
    """Return what the slot that serves answered in the last `seconds`, at most `count`; a line that is none is left out."""
    since, lines = time.time() - seconds, list[Line]()
    for text in logged(folder, serving).splitlines()[-count:]:
        try:
            line = msgspec.json.decode(text, type=Line)
        except msgspec.MsgspecError:
            continue
        if line.time >= since:
            lines.append(line)
    return lines


def logged(folder: Path, serving: Slot) -> bytes:
    """Return the end of a slot's prediction log; empty if there is none, or if its container does not show it in time."""
    if not serving.image:
        return recent.recent(folder / "predictions" / serving.name)
    command = ["docker", "exec", "--interactive", container.name_of(folder, serving.name), "python3", "-S", "-", "/log"]
    try:
        program = Path(recent.__file__).read_bytes()
        return subprocess.run(command, input=program, capture_output=True, check=False, timeout=SECONDS).stdout
    except (OSError, subprocess.TimeoutExpired):
        return b""
