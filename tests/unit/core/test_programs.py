"""Other programs: their output, their failure as facts, and what is said when they are missing or too slow."""

import sys
from pathlib import Path

import pytest

from delivery.core import programs
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


def test_a_program_that_does_not_end_is_ended() -> None:
    with pytest.raises(Failure, match=r"did not end within 0\.2 s"):
        programs.run(python("import threading; threading.Event().wait()"), seconds=0.2)
