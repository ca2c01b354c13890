"""What the unit tests share: a small part of the real tables, a model fitted to it, an empty folder to work in."""

import contextlib
import shutil
from pathlib import Path

import made
import pandas as pd
import pytest
from sample import MONTHS, adjusted, once, small
from sklearn.pipeline import Pipeline

from delivery.core import files, params, workspace
from delivery.core.params import Params
from delivery.data import tables
from delivery.decision import gate, report
from delivery.pipeline import evaluate, export, prepare, train, validate
from delivery.registry import registry
from problem import PRIMARY, table


@pytest.fixture(autouse=True)
def always(alone: None) -> None:
    """Every test of this folder is `alone`."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, which is the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def repository(folder: Path) -> Path:
    """A git repository with one commit, which is the current folder."""
    made.git("init", "--quiet", "--initial-branch", "main")
    (folder / ".gitignore").write_text("/.store/\n/.cache/\n/artifacts/\n/data/\n/reports/\n")
    made.commit("First")
    return folder


@pytest.fixture(scope="session")
def settings() -> Params:
    """What params.yaml says, made fast and independent of what a team has chosen."""
    chosen = params.load(made.ROOT / "params.yaml")
    return made.changed(
        chosen,
        fetch__until=MONTHS[1],
        prepare__test_periods=1,
        validate__psi_alarm=1e6,  # a few rows of anything look shifted
        export__runtime="onnx",
        export__examples=12,
        evaluate__importance_rows=200,
        evaluate__importance_repeats=1,
        compare__resamples=1000,
        compare__score_resamples=10,
        compare__confidence=0.95,
        compare__segment_rows=200,
        gate__floors={PRIMARY: 1e6},
        gate__margin=0.005,
        gate__segment_alpha=0.05,
        gate__latency_us=1e6,  # the machine is shared: what is tested is not its speed
        gate__calibration_gap=1e6,
        train=adjusted(chosen.train, max_iter=8, learning_rate=0.2),
    )


@pytest.fixture(scope="session")
def little(real: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """data/ with a few rows of three periods. Nobody may write to it."""

    def make(folder: Path) -> None:
        for path in real.rglob("*.parquet"):
            kept = folder / "data" / path.relative_to(real)
            kept.parent.mkdir(parents=True, exist_ok=True)
            rows = pd.read_parquet(path)
            name = path.relative_to(real).with_suffix("").parts[0]
            (small.few(name, rows) if small else rows).to_parquet(kept, index=False)

    return once(tmp_path_factory, "little", make) / "data"


@pytest.fixture
def data(folder: Path, little: Path) -> Path:
    """A copy of `little` in the current folder, the first two periods, to spoil."""
    return shutil.copytree(little, folder / "data", ignore=shutil.ignore_patterns(f"{MONTHS[2]}*"))


@pytest.fixture(scope="session")
def some(little: Path) -> dict[str, pd.DataFrame]:
    """The raw tables of `little`."""
    return tables.read(MONTHS[2], little)


@pytest.fixture(scope="session")
def examples(some: dict[str, pd.DataFrame]) -> pd.DataFrame:
    return table(some)


@pytest.fixture(scope="session")
def rows(examples: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows for training, of two periods, and for the test, of the third."""
    return prepare.split(examples, 1)


@pytest.fixture(scope="session")
def model(rows: tuple[pd.DataFrame, pd.DataFrame], settings: Params) -> Pipeline:
    return train.fit(rows[0], settings.train)


@pytest.fixture(scope="session")
def finished(little: Path, settings: Params, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which every stage, `compare`, `gate` and `report` have run on the first two periods."""

    def make(place: Path) -> None:
        shutil.copytree(little, place / "data", ignore=shutil.ignore_patterns(f"{MONTHS[2]}*"))
        for name in ("params.yaml", "Dockerfile", "requirements/serve.txt", "requirements/sklearn.txt"):
            files.write(place / name, (made.ROOT / name).read_bytes())
        (place / "data.dvc").write_text("outs:\n- md5: 11111111111111111111111111111111.dir\n  path: data\n")
        outs = "\n".join(
            f"  {name}:\n    outs:\n    - path: artifacts/{name}\n      md5: {number}{'0' * 31}.dir"
            for number, name in enumerate(("prepare", "train", "export", "evaluate"))
        )
        (place / "dvc.lock").write_text(f"schema: '2.0'\nstages:\n{outs}\n")
        with contextlib.chdir(place):
            for stage in (validate, prepare, train, export, evaluate):
                stage.run(settings)
            nothing = {"against": None, "commit": None, "reason": "there is no commit yet", "comparison": None}
            files.write_json(workspace.COMPARISON, nothing)
            gate.run(settings)
            report.run()

    return once(tmp_path_factory, "finished", make)


@pytest.fixture
def project(folder: Path, finished: Path) -> Path:
    """A copy of `finished` as a git repository with everything committed, which is the current folder."""
    shutil.copytree(finished, folder, dirs_exist_ok=True)
    made.git("init", "--quiet", "--initial-branch", "main")
    (folder / ".gitignore").write_text("/.store/\n/.cache/\n/artifacts/\n/data/\n/reports/\n/made\n")
    made.commit("First")
    return folder


@pytest.fixture(scope="session")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database of an empty registry, which takes MLflow seconds to make."""

    def make(place: Path) -> None:
        with contextlib.chdir(place):
            registry.versions()

    return once(tmp_path_factory, "registry", make) / workspace.REGISTRY_DATABASE


@pytest.fixture
def empty_registry(folder: Path, fresh: Path) -> None:
    """The store of the current folder has a registry without versions."""
    workspace.REGISTRY_DATABASE.parent.mkdir(parents=True)
    shutil.copy(fresh, workspace.REGISTRY_DATABASE)


@pytest.fixture
def ready(project: Path, empty_registry: None) -> Path:
    """The finished project with an empty registry."""
    return project
