"""`.ci/run` runs a few failed tests once more, alone, and what a fresh machine skipped; it hides no defect by either."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FUNCTION = r'set -euo pipefail; eval "$(sed -n "/^tests()/,/^}/p" "$1")"; tests "$2" "" env'
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


BOTH = FUNCTION.replace('tests "$2" "" env', 'tests "$2" "" env; tests "$3" "$2" env PROGRAM=1')
CODE = """
def by_itself():
    return 1


def by_the_program():
    return 2
"""
CONFTEST = """
import sys

import pytest

sys.path.insert(0, {tests!r})
import elsewhere

pytest_addoption, pytest_configure = elsewhere.add_option, elsewhere.configure


def pytest_collection_modifyitems(config, items):
    elsewhere.select(config, items)
"""
NEEDS = """
import os

import code_under_test as code
import pytest

absent = pytest.mark.skipif("PROGRAM" not in os.environ, reason="the program is missing")


def test_that_needs_nothing():
    assert code.by_itself() == 1


@absent
def test_that_needs_the_program():
    assert {called} == 2
"""


def checkout(folder: Path, called: str) -> Path:
    """A project whose tests cover all of its code only where the program is."""
    folder.mkdir()
    (folder / "code_under_test.py").write_text(CODE)
    (folder / "conftest.py").write_text(CONFTEST.format(tests=str(ROOT / "tests")))
    (folder / "test_needs.py").write_text(NEEDS.format(called=called))
    words = "-m pytest --cov --cov-report= --cov-fail-under=60"
    (folder / "Makefile").write_text(f"test:\n\t@.venv/bin/python {words}\n")
    measured = 'source_pkgs = ["code_under_test"]\nrelative_files = true\ndata_file = ".cache/coverage"'
    (folder / "pyproject.toml").write_text(
        f"[tool.coverage.run]\n{measured}\n[tool.coverage.report]\nfail_under = 100\n[tool.pytest.ini_options]\n"
    )
    python = folder / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    return folder


@pytest.mark.parametrize(("called", "green"), [("code.by_the_program()", True), ("3", False)])
def test_what_a_fresh_machine_skips_runs_where_its_program_is(called: str, green: bool, tmp_path: Path) -> None:
    """Only that; and what both have covered counts together."""
    first, second = (checkout(tmp_path / name, called) for name in ("first", "second"))
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COV_", "COVERAGE"))}
    clean |= {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_PLUGINS": "xdist.plugin,pytest_cov.plugin"}
    command = ["bash", "-c", BOTH, "bash", str(ROOT / ".ci" / "run"), str(first), str(second)]
    ran = subprocess.run(command, cwd=tmp_path, env=clean, capture_output=True, text=True, check=False)
    assert (ran.returncode == 0) == green, ran.stdout + ran.stderr
    assert "1 passed, 1 skipped" in ran.stdout
    assert ("1 passed, 1 deselected" in ran.stdout) == green
    assert ("Total coverage: 100.00%" in ran.stdout) == green
