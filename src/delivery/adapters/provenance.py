"""Who did something, and when: the workflow run or the person at the keyboard."""

import getpass
import os
import platform
from datetime import UTC, datetime

from delivery.adapters import github


def executor() -> str:
    """The workflow run, or the person at the keyboard."""
    if run := github.executor():
        return run
    try:
        return f"{getpass.getuser()}@{platform.node()}"
    except (KeyError, OSError):  # a container's user may have no name
        return f"uid {os.getuid()}@{platform.node()}"


def actor() -> str:
    """Who has started this, as a name alone."""
    return github.actor() or executor()


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
