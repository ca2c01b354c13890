"""Processes are found by their arguments, whatever else starts and ends meanwhile."""

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from delivery.deploy.targets import process

OWN = Path("/proc/self/cmdline")
pytestmark = pytest.mark.skipif(not OWN.exists(), reason="no /proc here to find processes in")


@pytest.mark.parametrize(("owner", "call"), [(os, "stat"), (Path, "read_bytes")])
def test_a_process_that_ends_while_others_are_looked_for_is_passed_over(
    owner: Any, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel answers ESRCH if a process ends between the listing of /proc and a look at the process's files."""
    words, usual, own = OWN.read_bytes().decode().split("\0"), getattr(owner, call), f"/proc/{os.getpid()}/"

    def others_have_ended(path: Any, *positional: Any, **named: Any) -> Any:
        if str(path).startswith("/proc/") and not str(path).startswith(own):
            raise ProcessLookupError(3, "No such process", str(path))
        return usual(path, *positional, **named)

    monkeypatch.setattr(owner, call, others_have_ended)
    assert os.getpid() in process.having(words[0])


def test_a_process_is_found_as_soon_as_it_is_started(tmp_path: Path) -> None:
    """Though the kernel shows no arguments in the first moment of a program."""
    mark = str(tmp_path)
    for _ in range(60):
        started = process.start([sys.executable, "-c", "import time; time.sleep(60)", mark], tmp_path, os.environ)
        try:
            assert mark in process.arguments(started.pid)
        finally:
            started.kill()
            started.wait()


def test_a_process_that_replaces_its_program_is_never_lost_from_sight(tmp_path: Path) -> None:
    """A slot starts by `sh -c 'exec "$0" "$@"'`; one look that found nothing was taken for the end of the service."""
    mark = str(tmp_path)
    again = "import os, sys; os.execv(sys.executable, [sys.executable, '-S', '-E', *sys.orig_argv[3:]])"
    started = process.start([sys.executable, "-S", "-E", "-c", again, mark], tmp_path, os.environ)
    try:
        assert all(process.having(mark) == [started.pid] for _ in range(1000))
    finally:
        started.kill()
        started.wait()
