"""`pytest --skipped-in=FOLDER` runs what was skipped there, and nothing else."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
CONFTEST = """
import os

import elsewhere
import pytest

pytest_addoption, pytest_configure = elsewhere.add_option, elsewhere.configure


def pytest_collection_modifyitems(config, items):
    elsewhere.select(config, items)


@pytest.fixture
def program():
    if "PROGRAM" not in os.environ:
        pytest.skip("the program is missing")
"""
PLANTED = """
import os
from pathlib import Path

import pytest


def test_passes(): ...


@pytest.mark.xfail
def test_is_expected_to_fail():
    assert False


def test_fails_first():
    before = Path("before")
    assert before.exists() or before.touch()


@pytest.mark.skipif("PROGRAM" not in os.environ, reason="the program is missing")
def test_by_mark(): ...


@pytest.mark.xdist_group("some")
@pytest.mark.parametrize("value", ["a@b", "c"])
def test_by_fixture(program, value): ...


def test_by_body():
    if "PROGRAM" not in os.environ:
        pytest.skip("the program is missing")
"""
NEED = {"test_by_mark", "test_by_fixture[a@b]", "test_by_fixture[c]", "test_by_body"}


def run(folder: Path, *words: str, **variables: str) -> tuple[int, set[str], str]:
    """The exit code, the tests that ran, and what pytest said; by a worker of pytest-xdist, in groups."""
    folder.mkdir(exist_ok=True)
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "test_planted.py").write_text(PLANTED)
    (folder / "pytest.ini").write_text("[pytest]\n")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COV", "PROGRAM"))}
    clean |= {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(TESTS)} | variables
    command = [sys.executable, "-m", "pytest", "-p", "xdist.plugin", "-n", "1", "--dist", "loadgroup", "-v", *words]
    done = subprocess.run(command, cwd=folder, env=clean, capture_output=True, text=True, check=False)
    ran = set(re.findall(r"^\[gw0\].*::(\S+?)(?:@some)? *$", done.stdout, re.MULTILINE))
    return done.returncode, ran, done.stdout + done.stderr


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout where the tests ran without the program, and one that failed ran once more."""
    folder = tmp_path_factory.mktemp("elsewhere") / "first"
    code, ran, said = run(folder)
    assert (code, len(ran)) == (1, 7), said
    code, ran, said = run(folder, "--last-failed")
    assert (code, ran) == (0, {"test_fails_first"}), said
    return folder


def test_what_was_skipped_runs(first: Path, tmp_path: Path) -> None:
    code, ran, said = run(tmp_path / "second", f"--skipped-in={first}", PROGRAM="1")
    assert (code, ran) == (0, NEED), said
    assert "4 passed" in said


def test_what_has_run_since_is_left_out(first: Path, tmp_path: Path) -> None:
    code, _, said = run(first, "test_planted.py::test_by_mark", PROGRAM="1")
    assert code == 0, said
    _, ran, said = run(tmp_path / "second", f"--skipped-in={first}", PROGRAM="1")
    assert ran == NEED - {"test_by_mark"}, said


def test_a_checkout_without_a_run_is_named(tmp_path: Path) -> None:
    code, ran, said = run(tmp_path / "second", f"--skipped-in={tmp_path / 'third'}")
    assert code != 0
    assert not ran
    assert f"--skipped-in={tmp_path / 'third'}: no tests ran there" in said
