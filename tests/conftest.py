"""What the suites share: the real tables, and throw-away copies of this repository that run on a sample of them."""

import gc
import os

# As the command line does, and before numpy is imported: two threads fit another model than one.
os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
# Where a test has no .dvc/config that says so: each start would ask the network.
os.environ["DVC_NO_ANALYTICS"] = "true"

import shutil
from collections.abc import Iterator
from pathlib import Path

import answering
import elsewhere
import optional
import pandas as pd
import pytest
import sample
import warm
from sample import once

from delivery.data import tables
from problem import fetch

# What modules and tests are made of stays until the end: nobody needs to look through it for garbage.
gc.disable()
# Services are installed by uv in homes that the tests make; what it has downloaded once is enough.
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
os.environ.setdefault("UV_CACHE_DIR", str(CACHE / "uv"))

SCENARIOS = ("integration", "workflows", "deploy", "simulation")
REPLACED = not getattr(sample.small, "SCENARIOS", False)  # the sample problem, by a fork's own
REAL = sample.ROOT / ".cache" / "source"


def suite(item: pytest.Item) -> str:
    """Return the folder of tests/ that the test is in; of a test from elsewhere an empty string."""
    tests = sample.ROOT / "tests"
    return item.path.relative_to(tests).parts[0] if item.path.is_relative_to(tests) else ""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the option of elsewhere.py."""
    elsewhere.add_option(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Require the coverage that is possible here.

    Where the sample problem was replaced nothing is required: much of the machinery is tested on it alone.
    """
    floor = 0 if REPLACED else optional.coverage_floor()
    if floor is not None and (plugin := config.pluginmanager.getplugin("_cov")):
        plugin.options.cov_fail_under = floor
    elsewhere.configure(config)
    if getattr(config.option, "numprocesses", None) and not hasattr(config, "workerinput"):
        gc.enable()  # its workers collect the tests


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown() -> None:
    """Fail the test that leaves a server which takes a core from all later tests."""
    assert not answering.spinning(), "a server was closed and not shut down: use answering.answering"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip tests whose programs are missing, and the sample problem's scenarios where it was replaced.

    Scenarios come first: they are the longest tests, and one that started last would leave the other workers idle.
    """
    elsewhere.select(config, items)
    items.sort(key=lambda item: suite(item) not in SCENARIOS)
    for item in items:
        for name in getattr(item, "fixturenames", ()):
            if name.startswith("needs_") and (reason := optional.missing(name.removeprefix("needs_"))):
                item.add_marker(pytest.mark.skip(reason=reason))
        if REPLACED and suite(item) in SCENARIOS:
            item.add_marker(pytest.mark.skip(reason="a scenario of the sample problem, which was replaced"))


def pytest_collection_finish() -> None:
    """Look for garbage from here on, but not among the modules and the tests."""
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session")
def needs_docker() -> None:
    """Skip without a Docker engine that answers."""


@pytest.fixture(scope="session")
def needs_haproxy() -> None:
    """Skip without HAProxy."""


@pytest.fixture(scope="session")
def needs_kubectl() -> None:
    """Skip without kubectl."""


@pytest.fixture(scope="session")
def needs_mounts() -> None:
    """Skip where a process cannot have its own mounts."""


@pytest.fixture(scope="session")
def needs_postgresql() -> None:
    """Skip without PostgreSQL's programs."""


@pytest.fixture(scope="session")
def needs_prometheus() -> None:
    """Skip without Prometheus and promtool."""


@pytest.fixture(scope="session", autouse=True)
def warm_python() -> Iterator[None]:
    """End this worker's warm Python with it."""
    yield
    warm.stop()


@pytest.fixture(scope="session", autouse=True)
def fonts(tmp_path_factory: pytest.TempPathFactory) -> None:
    """matplotlib lists the fonts once for all copies, and not in the person's home."""
    os.environ["MPLCONFIGDIR"] = str(once(tmp_path_factory, "fonts", Path.exists))


@pytest.fixture(scope="session", autouse=True)
def libraries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the libraries with which registered versions are started are installed, once for all homes."""
    folder = once(tmp_path_factory, "libraries", Path.exists)
    os.environ["TESTS_LIBRARIES"] = str(folder)
    return folder


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Nothing of the person's or the workflow's own: no settings of git, no registry, no token."""
    for name in os.environ:
        if name.startswith(("GITHUB_", "GIT_", "MLFLOW_", "DELIVERY_", "DVC_", "SERVE_")):
            monkeypatch.delenv(name)
    home = tmp_path_factory.getbasetemp() / "home"
    sample.link(home, Path(os.environ["TESTS_LIBRARIES"]))
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(home / "dvc"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "tester")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "tester@example.com")


@pytest.fixture(scope="session")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """data/ with the first three periods of the source, whole."""
    return once(tmp_path_factory, "real", lambda folder: fetch(folder / "data", sample.MONTHS[-1], REAL)) / "data"


@pytest.fixture(scope="session")
def raw(real: Path) -> dict[str, pd.DataFrame]:
    """The real tables of three periods."""
    return tables.read(sample.MONTHS[-1], real)


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A source cache that holds a sample of the real one, if the problem has a way to make it."""

    def make(folder: Path) -> None:
        (folder / "cache").mkdir()
        if sample.small:
            sample.small.source(REAL, folder / "cache")
        elif REAL.is_dir():
            shutil.copytree(REAL, folder / "cache", dirs_exist_ok=True)

    return once(tmp_path_factory, "source", make) / "cache"


@pytest.fixture(scope="session")
def committed(tmp_path_factory: pytest.TempPathFactory, source: Path) -> Path:
    """The small project after its first `dvc repro`, all of it committed, nothing registered."""

    def make(folder: Path) -> None:
        project = folder / "project"
        sample.copy(project, source)
        sample.commit(project, "The template")
        # Cold: each stage with a hash seed of its own, so that the others' results do not agree by chance.
        sample.run(project, "fetch", cold=True)
        sample.repro(project, cold=True)
        sample.commit(project, "The first model")

    return once(tmp_path_factory, "committed", make) / "project"


@pytest.fixture
def project(tmp_path: Path, committed: Path) -> Path:
    """A copy of `committed` to do anything to, with its data, its artifacts and its cache."""
    return shutil.copytree(committed, tmp_path / "project", symlinks=True)
