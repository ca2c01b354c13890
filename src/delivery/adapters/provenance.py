"""Who did something, and when."""

import getpass
import os
import platform
from datetime import UTC, datetime

from delivery.adapters import github


def executor() -> str:
    """Return the workflow run, or the user and machine, as in `ada@laptop`."""
    if run := github.executor():
        return run
    try:
        return f"{getpass.getuser()}@{platform.node()}"
    except (KeyError, OSError):  # a container's user may have no name
        return f"uid {os.getuid()}@{platform.node()}"


def actor() -> str:
    """Return who started the workflow run, by name alone; outside one the same as `executor`."""
    return github.actor() or executor()


def now() -> str:
    """Return the time in UTC, ISO 8601 to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
