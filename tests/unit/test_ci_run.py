"""`.ci/run` runs a few failed tests once more, alone, and hides no defect by it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FUNCTION = r'set -euo pipefail; eval "$(sed -n "/^tests()/,/^}/p" "$1")"; tests "$2" env'
PLANTED = """
from pathlib import Path

def test_that_passes():
    pass
"""
FAILS_FIRST = """
def test_that_fails_beside_others_{number}():
    before = Path("before-{number}")
    assert before.exists() or before.touch()
"""
FAILS = """
def test_that_fails():
    assert False
"""


@pytest.mark.parametrize(
    ("planted", "green", "runs"),
    [
        ("", True, 1),
        (FAILS_FIRST.format(number=1), True, 2),
        (FAILS, False, 2),
        (FAILS_FIRST.format(number=1) + FAILS, False, 2),
        ("".join(FAILS_FIRST.format(number=number) for number in range(4)), False, 1),
    ],
    ids=["none failed", "one fails beside others", "broken", "one of each", "four fail beside others"],
)
def test_what_failed_beside_others_runs_once_more(planted: str, green: bool, runs: int, tmp_path: Path) -> None:
    (tmp_path / "test_planted.py").write_text(PLANTED + planted)
    (tmp_path / "Makefile").write_text("test:\n\t@.venv/bin/python -m pytest\n")
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COV_", "COVERAGE"))}
    # Other plugins take seconds to load.
    clean |= {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_PLUGINS": "xdist.plugin"}
    command = ["bash", "-c", FUNCTION, "bash", str(ROOT / ".ci" / "run"), str(tmp_path)]
    ran = subprocess.run(command, cwd=tmp_path, env=clean, capture_output=True, text=True, check=False)
    assert (ran.returncode == 0) == green, ran.stdout + ran.stderr
    assert ran.stdout.count("test session starts") == runs
    assert ("failed beside others; they run once more, alone" in ran.stdout) == (runs == 2)


def test_a_run_that_failed_without_a_failed_test_fails(tmp_path: Path) -> None:
    """Too little coverage, or an installation that broke."""
    (tmp_path / "Makefile").write_text("test:\n\tfalse\n")
    command = ["bash", "-c", FUNCTION, "bash", str(ROOT / ".ci" / "run"), str(tmp_path)]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode != 0
