"""The lock of an environment: held by the command that changes it, and looked at by others."""

import fcntl
import threading
from pathlib import Path

import pytest

from delivery.deploy.targets import state


def test_a_command_that_looks_who_changes_an_environment_keeps_no_other_out(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`status` and `steer` hold the lock for a moment, shared; a command that came right then was refused."""
    monkeypatch.setattr(state, "GLANCE", 60.0, raising=False)  # however late the timer is on a busy machine
    with state.locked(folder):
        pass
    with (folder / "lock").open() as looked_at:
        fcntl.flock(looked_at, fcntl.LOCK_SH)
        timer = threading.Timer(0.1, fcntl.flock, (looked_at, fcntl.LOCK_UN))
        timer.start()
        try:
            with state.locked(folder):
                assert state.holder(folder)
        finally:
            timer.join()
    assert state.holder(folder) == ""


def test_a_second_command_is_refused(folder: Path) -> None:
    with (
        state.locked(folder),
        pytest.raises(state.Taken, match=rf"^{folder.name} is being changed by process \d+; wait for it"),
        state.locked(folder),
    ):
        pass
