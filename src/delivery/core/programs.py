"""Run another program and read its output: the one place that does."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from delivery.core.errors import Failure, ProgramError

Completed = subprocess.CompletedProcess[str]
PR_SET_PDEATHSIG = 1  # of prctl(2)


def run(
    command: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    text: str = "",
    seconds: float | None = None,
    check: bool = False,
    merge: bool = False,
) -> Completed:
    """Run a program to its end and return its exit code and output.

    `env` is added to this process's environment, `text` is its standard input, and `seconds` its time limit; `merge`
    adds its errors to its output. Bytes that are not UTF-8, as in names that others chose, become text such as xe4
    after a backslash. Raise `Failure` if it is not installed or takes too long, and `ProgramError` if it fails and
    `check` is set.
    """
    try:
        completed = subprocess.run(
            [str(word) for word in command],
            cwd=cwd,
            env=os.environ | (env or {}),
            input=text,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if merge else subprocess.PIPE,
            encoding="utf-8",
            errors="backslashreplace",
            timeout=seconds,
            check=False,
        )
    except FileNotFoundError:
        if cwd is not None and not cwd.is_dir():
            raise
        raise Failure(f"{command[0]} is not installed; install it and run this again") from None
    except subprocess.TimeoutExpired:
        raise Failure(f"{command[0]} did not end within {seconds:g} s; run this again") from None
    if check and completed.returncode:
        raise ProgramError(f"{command[0]}: {last_line(completed)}", program=str(command[0]), code=completed.returncode)
    return completed


def run_group(
    command: Sequence[str | Path], *, env: Mapping[str, str] | None = None, seconds: float | None = None
) -> Completed | None:
    """Run a program that starts others, with its errors in its output; return None if it takes more than `seconds`.

    They have a process group of their own, and all of them are killed if they take too long, or if this process is
    interrupted.
    """
    words = [str(word) for word in command]
    with subprocess.Popen(
        words,
        env=os.environ | (env or {}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="backslashreplace",
        start_new_session=True,
    ) as process:
        try:
            output, _ = process.communicate(timeout=seconds)
        except BaseException as error:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            if isinstance(error, subprocess.TimeoutExpired):
                return None
            raise
    return subprocess.CompletedProcess(words, process.returncode, output)


def last_line(completed: Completed) -> str:
    """Return the last line of a program's errors, or of its output if it printed no errors."""
    output = (completed.stderr or "").strip() or (completed.stdout or "").strip()
    return output.splitlines()[-1] if output else f"exit code {completed.returncode}, without a message"


def with_parent() -> Callable[[], object] | None:
    """Return what a child process must call first to end with the thread that started it, even if that is killed.

    An orphan would keep DVC's locks, or a port. Linux only: None elsewhere.
    """
    if sys.platform != "linux":
        return None
    return partial(ctypes.CDLL(None).prctl, PR_SET_PDEATHSIG, signal.SIGKILL)
