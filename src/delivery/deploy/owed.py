"""Records of rollbacks that the registry does not have yet, kept where the environment is.

A rollback is final on its target before it is recorded: a registry that is locked, unreachable or gone must not give
traffic back to a bad version. On a host the record is kept before the switch, so that the next command finishes what a
killed one began; in a cluster after it.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct

from delivery.core.errors import Failure
from delivery.deploy.targets.target import Target


class Rollback(Struct, frozen=True, kw_only=True):
    """A rollback as it is recorded."""

    left: str
    """Version that was left."""
    to: str
    """Version that serves since."""
    reason: str
    time: str
    by: str
    seconds: float
    commit: str = ""


def read(target: Target) -> list[Rollback]:
    """Return the records that are owed, oldest first. Damaged ones are none: `status` shows what disagrees."""
    try:
        content = target.owed()
        return msgspec.json.decode(content, type=list[Rollback]) if content else []
    except (OSError, Failure, msgspec.MsgspecError):
        return []


def keep(target: Target, records: list[Rollback]) -> None:
    """Replace what is owed. Raise `OSError` or `Failure` if the target cannot keep it."""
    target.owe(msgspec.json.format(msgspec.json.encode(records)) if records else b"")
