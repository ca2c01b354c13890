"""The few whole runs that the scenarios share: each is made once and read, or copied, by many tests."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import sample
from sample import once

from delivery.__main__ import main


class Run(NamedTuple):
    """A project after `delivery run`, and what the run said. Not to be written to."""

    project: Path
    code: int
    out: str
    err: str


def ran(folder: Path, name: str, project: Path) -> None:
    """Runs the loop in the project and keeps its words beside it."""
    done = sample.run(project, "run", code=None)
    for part, text in (("code", str(done.returncode)), ("out", done.stdout), ("err", done.stderr)):
        (folder / f"{name}.{part}").write_text(text)


def read(folder: Path, name: str, project: Path) -> Run:
    code, out, err = ((folder / f"{name}.{part}").read_text() for part in ("code", "out", "err"))
    return Run(project, int(code), out, err)


@pytest.fixture(scope="session")
def clones(tmp_path_factory: pytest.TempPathFactory, committed: Path) -> Path:
    """A fresh clone in which the loop ran twice."""

    def make(folder: Path) -> None:
        project = sample.clone(committed, folder / "project")
        ran(folder, "first", project)
        ran(folder, "second", project)

    return once(tmp_path_factory, "clones", make)


@pytest.fixture
def first(clones: Path) -> Run:
    return read(clones, "first", clones / "project")


@pytest.fixture
def second(clones: Path) -> Run:
    return read(clones, "second", clones / "project")


@pytest.fixture
def registered(clones: Path, tmp_path: Path) -> Path:
    """A project of one's own with version 1 on staging."""
    return shutil.copytree(clones / "project", tmp_path / "project", symlinks=True)


@pytest.fixture(scope="session")
def changed(tmp_path_factory: pytest.TempPathFactory, clones: Path) -> Callable[[str, dict], Run]:
    """The run of somebody who has changed parameters of the registered project and committed nothing."""

    def run(name: str, values: dict) -> Run:
        def make(folder: Path) -> None:
            project = shutil.copytree(clones / "project", folder / "project", symlinks=True)
            sample.change(project, values)
            ran(folder, "run", project)

        folder = once(tmp_path_factory, name, make)
        return read(folder, "run", folder / "project")

    return run


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture) -> Callable[..., tuple[int, str, str]]:
    """A verb in a project, run in this process: what has been imported once need not be again."""

    def run(project: Path, *words: str) -> tuple[int, str, str]:
        monkeypatch.chdir(project)
        capfd.readouterr()
        code = main(list(words))
        return code, *capfd.readouterr()

    return run


@pytest.fixture
def faster(changed) -> Run:
    return changed("faster", {"train.learning_rate": 0.12})


@pytest.fixture
def worse(changed) -> Run:
    return changed("worse", {"train.learning_rate": 0.001, "train.max_iter": 1})
