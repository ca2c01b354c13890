"""With the development set alone every test module can be collected: what needs more is skipped, and is no error."""

import os
import re
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from made import ROOT

# Read at every start of Python. A package that is hidden is not found, as if it were not installed.
HIDE = """
import os, sys
from importlib.machinery import PathFinder

class Finder(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        hidden = name.partition(".")[0] in os.environ["HIDDEN"].split()
        return None if hidden else super().find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Finder
"""


def locked(name: str) -> set[str]:
    """Return the distributions of a lock file."""
    return set(re.findall(r"^([\w.-]+)==", (ROOT / "requirements" / name).read_text(), re.MULTILINE))


def only_scale() -> set[str]:
    """Return the import names, of those installed here, that only the set `scale` brings."""
    extra = locked("scale.txt") - locked("dev.txt")
    return {
        module
        for module, distributions in packages_distributions().items()
        if {re.sub(r"[-_.]+", "-", name).lower() for name in distributions} <= extra
    }


def collect(hider: Path, hidden: set[str], *tests: str | Path) -> subprocess.CompletedProcess[str]:
    """Collect tests where these packages are hidden."""
    (hider / "sitecustomize.py").write_text(HIDE)
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", "-n", "0"]
    paths = [str(hider), *filter(None, [os.environ.get("PYTHONPATH")])]
    variables = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "HIDDEN": " ".join(hidden)}
    return subprocess.run(
        [*command, *map(str, tests)], cwd=ROOT, env=variables, capture_output=True, text=True, check=False
    )


@pytest.fixture
def hider(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hider")


def test_every_module_is_collected_with_the_development_set_alone(hider: Path) -> None:
    completed = collect(hider, only_scale(), "tests")
    assert not completed.returncode, completed.stdout[-3000:] + completed.stderr[-3000:]


def test_a_module_that_imports_more_is_caught(hider: Path, tmp_path: Path) -> None:
    """As tests/scale/test_dask.py once did, at its top."""
    planted = tmp_path / "test_planted.py"
    planted.write_text("import dask\n\n\ndef test_something(): ...\n")
    completed = collect(hider, only_scale(), planted)
    assert completed.returncode == 2
    assert "ModuleNotFoundError: No module named 'dask'" in completed.stdout


def test_what_is_hidden_is_hidden(hider: Path, tmp_path: Path) -> None:
    """By a package of our own, so that this holds whatever is installed."""
    (tmp_path / "some_engine.py").touch()
    planted = tmp_path / "test_planted.py"
    planted.write_text("import some_engine\n\n\ndef test_something(): ...\n")
    assert collect(hider, set(), planted).returncode == 0
    completed = collect(hider, {"some_engine"}, planted)
    assert completed.returncode == 2
    assert "ModuleNotFoundError: No module named 'some_engine'" in completed.stdout


def test_scale_brings_what_its_tests_ask_for() -> None:
    assert {"dask", "distributed", "dvc-s3", "moto", "psycopg"} <= locked("scale.txt") - locked("dev.txt")
