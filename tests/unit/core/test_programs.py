"""Other programs: their output, the facts of a failure, and the messages if they are missing or too slow."""

import fcntl
import sys
from pathlib import Path

import pytest

from delivery.core import programs, waiting
from delivery.core.errors import Failure, ProgramError


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_output_errors_and_exit_code_are_returned() -> None:
    completed = programs.run(python("import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)"))
    assert (completed.returncode, completed.stdout, completed.stderr) == (3, "out\n", "err\n")


def test_merged_errors_are_among_the_output() -> None:
    code = "import sys; print('out', flush=True); print('err', file=sys.stderr)"
    assert programs.run(python(code), merge=True).stdout == "out\nerr\n"


def test_the_environment_is_added_to_and_text_is_the_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEPT", "kept")
    code = "import os, sys; print(os.environ['KEPT'], os.environ['ADDED'], sys.stdin.read())"
    assert programs.run(python(code), env={"ADDED": "added"}, text="typed").stdout == "kept added typed\n"


def test_a_failure_carries_the_program_and_its_code() -> None:
    with pytest.raises(ProgramError, match="the last line$") as caught:
        programs.run(python("import sys; sys.exit('first\\nthe last line')"), check=True)
    assert (caught.value.program, caught.value.code) == (sys.executable, 1)


def test_a_silent_failure_gives_its_exit_code() -> None:
    with pytest.raises(ProgramError, match="exit code 7, without a message$"):
        programs.run(python("raise SystemExit(7)"), check=True)


def test_a_missing_program_is_named_with_the_fix() -> None:
    with pytest.raises(Failure, match="^no-such-program is not installed; install it and run this again$"):
        programs.run(["no-such-program"])


def test_a_missing_folder_is_not_a_missing_program(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        programs.run(python(""), cwd=tmp_path / "gone")


def test_a_program_that_does_not_end_is_stopped() -> None:
    with pytest.raises(Failure, match=r"did not end within 0\.2 s"):
        programs.run(python("import threading; threading.Event().wait()"), seconds=0.2)


def test_a_group_that_ends_in_time_gives_its_output_and_code() -> None:
    code = "import os, sys; print(os.environ['ADDED'], flush=True); print('err', file=sys.stderr); sys.exit(3)"
    completed = programs.run_group(python(code), env={"ADDED": "added"}, seconds=600)
    assert completed is not None
    assert (completed.returncode, completed.stdout) == (3, "added\nerr\n")


def test_what_a_slow_program_has_started_ends_with_it(folder: Path) -> None:
    """The child holds a lock, which nobody can take while it runs."""
    script = "exec 9>lock; flock 9; sleep 300 & touch started; wait"
    seconds = 1.0
    while not Path("started").exists():  # a busy machine may take longer to start it
        assert programs.run_group(["sh", "-c", script], seconds=seconds) is None
        seconds *= 2
    with Path("lock").open() as lock:
        waiting.until(lambda: _taken(lock.fileno()), seconds=60)


def _taken(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def test_bytes_that_are_no_text_are_shown_as_such() -> None:
    code = "import os; os.write(1, b'gr\\xf6\\xdfe \\xc3\\xa4')"
    assert programs.run(python(code)).stdout == r"gr\xf6\xdfe ä"
    completed = programs.run_group(python(code))
    assert completed is not None
    assert completed.stdout == r"gr\xf6\xdfe ä"
