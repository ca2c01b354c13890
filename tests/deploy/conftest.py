"""An environment of this machine: a registry with three versions, the real HAProxy, processes as slots, clients."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest
import small
from host import Site
from sample import ROOT, change, once

from delivery.core import files
from delivery.registry import bundle, registry, release
from delivery.registry.version import Lineage
from problem import FEATURES, LABEL, build, table


@pytest.fixture(autouse=True)
def always(alone: None) -> None:
    """Every test of this folder is `alone`."""


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory, raw: dict[str, pd.DataFrame]) -> Path:
    """A small model as `export` writes it."""

    def make(folder: Path) -> None:
        rows = table({name: frame[frame["month"] == 1] if "month" in frame else frame for name, frame in raw.items()})
        rows = rows[rows[LABEL].notna()].iloc[::5].reset_index(drop=True)
        small.write(build(small.TRAIN).fit(rows[list(FEATURES)], rows[LABEL]), rows, folder / "export")

    return once(tmp_path_factory, "deployed", make) / "export"


@pytest.fixture(scope="session")
def registered(tmp_path_factory: pytest.TempPathFactory, exported: Path) -> Path:
    """A project whose registry has versions 1 and 2, which are good, and 3, which does not say what it was seen to say."""

    def make(folder: Path) -> None:
        for name in ("params.yaml", "Dockerfile", "requirements/serve.txt", "requirements/sklearn.txt"):
            files.write(folder / name, (ROOT / name).read_bytes())
        settings = {"ready_seconds": 60, "watch_seconds": 0.3, "bake_minutes": 0, "drain_seconds": 5}
        change(folder, {f"deploy.{name}": value for name, value in settings.items()})
        before = Path.cwd()
        os.chdir(folder)
        try:
            for number in ("1", "2", "3"):
                version = Path("models") / number
                shutil.copytree(exported, version / "export")
                (version / "export" / "note.txt").write_text(number)  # another digest
                if number == "3":
                    wrong = files.read_json(version / "export" / "examples.json", "export")
                    wrong[0]["prediction"] += 0.01
                    files.write_json(version / "export" / "examples.json", wrong, exact=True)
                release.collect(version / "export", version / "release")
                lineage = Lineage(
                    release=release.digest(version), digest=files.digest(version / "export"), commit=f"c0ffee{number}"
                )
                assert registry.add(version, lineage, {})[0] == number
        finally:
            os.chdir(before)

    return once(tmp_path_factory, "registered", make)


@pytest.fixture
def site(
    needs_haproxy: None, tmp_path: Path, registered: Path, at_home: None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Site]:
    """`staging` on this machine, where nothing was deployed yet."""
    with made(registered, tmp_path) as there:
        monkeypatch.chdir(there.folder)
        yield there


@pytest.fixture(scope="module")
def shared(needs_haproxy: None, registered: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with made(registered, tmp_path_factory.mktemp("shared")) as there:
        yield there


@pytest.fixture
def one(shared: Site, at_home: None, monkeypatch: pytest.MonkeyPatch) -> Site:
    """Version 1 serves; one place for many tests, since each must leave it as it was."""
    monkeypatch.chdir(shared.folder)
    shutil.copy(shared.folder / "params.before", shared.folder / "params.yaml")
    assert shared.deploy("1") == 0
    return shared


@pytest.fixture
def at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a service of this environment is started with: its own environment, and what spoils it."""
    monkeypatch.setenv("FAULTS", "{}")
    real = bundle.environment

    def spoiled(code: Path) -> dict[str, str]:
        given = dict(real(code))
        path = f"{Path(__file__).parent / 'faults'}{os.pathsep}{given['PYTHONPATH']}"
        return given | {"FAULTS": os.environ["FAULTS"], "PYTHONPATH": path}

    monkeypatch.setattr(bundle, "environment", spoiled)


@contextmanager
def made(registered: Path, folder: Path) -> Iterator[Site]:
    shutil.copytree(registered, folder / "project")
    there = Site(folder / "project", folder / "state")
    shutil.copy(folder / "project" / "params.yaml", folder / "project" / "params.before")
    try:
        yield there
    finally:
        there.stop()
