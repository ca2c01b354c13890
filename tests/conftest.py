"""What the suites share: the real tables, and throw-away copies of this repository that run on a sample of them."""

import os

# As the command line does, and before numpy is imported: two threads fit another model than one.
os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}

import shutil
from pathlib import Path

import pandas as pd
import pytest
import sample
from sample import once

from delivery import tables
from problem import fetch
from problem.source import _download

REAL = sample.ROOT / ".cache" / "source"


@pytest.fixture(scope="session", autouse=True)
def fonts(tmp_path_factory: pytest.TempPathFactory) -> None:
    """matplotlib lists the fonts once for all copies, and not in the person's home."""
    os.environ["MPLCONFIGDIR"] = str(once(tmp_path_factory, "fonts", Path.exists))


@pytest.fixture(scope="session")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """data/ with the real months January to March, whole."""
    return once(tmp_path_factory, "real", lambda folder: fetch(folder / "data", "2013-03", REAL)) / "data"


@pytest.fixture(scope="session")
def raw(real: Path) -> dict[str, pd.DataFrame]:
    """The real tables, January to March."""
    return tables.read("2013-03", real)


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A source cache whose archive holds a sample of the real one."""

    def make(folder: Path) -> None:
        (folder / "cache").mkdir()
        archive = _download(REAL)
        sample.archive(archive, folder / "cache" / archive.name)

    return once(tmp_path_factory, "source", make) / "cache"


@pytest.fixture(scope="session")
def committed(tmp_path_factory: pytest.TempPathFactory, source: Path) -> Path:
    """The small project after its first `dvc repro`, all of it committed, nothing registered."""

    def make(folder: Path) -> None:
        project = folder / "project"
        sample.copy(project, source)
        sample.commit(project, "The template")
        sample.run(project, "fetch")
        sample.repro(project)
        sample.commit(project, "The first model")

    return once(tmp_path_factory, "committed", make) / "project"


@pytest.fixture
def project(tmp_path: Path, committed: Path) -> Path:
    """A copy of `committed` to do anything to, with its data, its artifacts and its cache."""
    return shutil.copytree(committed, tmp_path / "project", symlinks=True)
