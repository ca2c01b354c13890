"""With the development set alone every test module can be collected: what needs more is skipped, and is no error."""

import gc
import os
import re
import subprocess
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import warm
from made import ROOT

# A plugin of pytest. Python does not find what is None among its modules, as if it were not installed.
HIDE = 'import os, sys\n\nsys.modules.update(dict.fromkeys(os.environ["HIDDEN"].split()))\n'


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


def collect(hider: Path, hidden: set[str], *words: str | Path) -> subprocess.CompletedProcess[str]:
    """Collect tests where these packages are hidden."""
    (hider / "hide.py").write_text(HIDE)
    command = [warm.environment() / "bin" / "python", "-m", "pytest", "--collect-only", "-q", "-p", "hide"]
    command += ["-W", "ignore:Module already imported so cannot be rewritten"]  # by the warm Python, before pytest
    paths = [str(hider), *filter(None, [os.environ.get("PYTHONPATH")])]
    variables = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "HIDDEN": " ".join(hidden)}
    return subprocess.run(
        [*command, "-p", "no:cacheprovider", *words],
        cwd=ROOT,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def hider(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hider")


def test_every_module_is_collected_with_the_development_set_alone(hider: Path) -> None:
    completed = collect(hider, only_scale(), "-n", "0", "tests")
    assert not completed.returncode, completed.stdout[-3000:] + completed.stderr[-3000:]


def test_a_module_that_imports_more_is_caught(hider: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As tests/scale/test_dask.py once did, at its top."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # for the time that their imports take
    planted = tmp_path / "test_planted.py"
    planted.write_text("import dask\n\n\ndef test_something(): ...\n")
    completed = collect(hider, only_scale(), planted)
    assert completed.returncode == 2
    assert re.search("ModuleNotFoundError: .*dask", completed.stdout)


def test_what_is_hidden_is_hidden(hider: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a package of our own, so that this holds whatever is installed."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    (tmp_path / "some_engine.py").touch()
    planted = tmp_path / "test_planted.py"
    planted.write_text("import some_engine\n\n\ndef test_something(): ...\n")
    assert collect(hider, set(), planted).returncode == 0
    completed = collect(hider, {"some_engine"}, planted)
    assert completed.returncode == 2
    assert "ModuleNotFoundError: import of some_engine halted" in completed.stdout


def test_scale_brings_what_its_tests_ask_for() -> None:
    assert {"dask", "distributed", "dvc-s3", "moto", "psycopg"} <= locked("scale.txt") - locked("dev.txt")


def test_garbage_is_looked_for_while_tests_run_but_not_among_the_tests() -> None:
    """Without it tests of open files and connections would find nothing."""
    assert gc.isenabled()
    assert gc.get_freeze_count() > 10_000
