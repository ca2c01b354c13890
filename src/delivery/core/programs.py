"""Run another program and read its output: the one place that does."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from delivery.core.errors import Failure, ProgramError

Completed = subprocess.CompletedProcess[str]


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

    `env` is added to this process's environment, `text` is its standard input, `seconds` its time limit; with `merge`
    its errors are among its output. Raises Failure when it is not installed or takes too long, and ProgramError when
    it fails and `check` is set.
    """
    try:
        completed = subprocess.run(
            [str(word) for word in command],
            cwd=cwd,
            env=os.environ | (env or {}),
            input=text,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if merge else subprocess.PIPE,
            text=True,
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


def last_line(completed: Completed) -> str:
    """Return the last line of a program's errors, or of its output where it printed no errors."""
    output = (completed.stderr or "").strip() or (completed.stdout or "").strip()
    return output.splitlines()[-1] if output else f"exit code {completed.returncode}, without a message"
