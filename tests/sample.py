"""Throw-away copies of this repository with a sample of the problem's data, small enough to run whole in seconds."""

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any, get_type_hints

import pytest
import warm
import yaml
from filelock import FileLock
from msgspec.structs import replace

from delivery.core.ownership import MACHINERY
from delivery.registry import bundle
from problem import Train, periods

ROOT = Path(__file__).parents[1]


def hook() -> ModuleType | None:
    """tests/problem/small.py: how the problem is made small, where it says so."""
    path = ROOT / "tests" / "problem" / "small.py"
    if not path.exists():
        return None
    spec = importlib.util.spec_from_file_location("small_problem", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


small = hook()
MONTHS = periods()[:3]  # that the tests take: the first to train, the last to test
SMALL: dict[str, Any] = {
    "fetch.until": MONTHS[-1],
    "prepare.test_periods": 1,
    "export.examples": 8,
    "evaluate.importance_rows": 300,
    "evaluate.importance_repeats": 1,
    "compare.resamples": 400,
    "compare.score_resamples": 50,
    "gate.latency_us": 100_000,  # the machine is shared: what is tested is not its speed
    "loadtest.users": 2,
    "loadtest.seconds": 1,
    "loadtest.max_p95_ms": 5000,
    "loadtest.min_rps": 1,
} | (small.PARAMS if small else {})


def once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder that is made by the first worker that asks for it, and shared by all. Nobody may write to it."""
    shared = factory.getbasetemp().parent if os.environ.get("PYTEST_XDIST_WORKER") else factory.getbasetemp()
    folder = shared / f"shared-{name}"
    with FileLock(f"{folder}.lock"):
        if not (folder / "made").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            (folder / "made").touch()
    return folder


def copy(to: Path, source: Path) -> None:
    """This repository's files as they are now, made small, in a git repository of their own without a commit."""
    held = git(ROOT, "ls-files", "--cached", "--others", "--exclude-standard").splitlines()
    laid = git(
        ROOT, "ls-files", "--others", "--ignored", "--exclude-standard", "--", *MACHINERY
    ).splitlines()  # docs/how-to/many-models.md
    for name in [*held, *laid]:
        if (ROOT / name).is_file() and not name.endswith(".pyc"):
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, to / name)
    shutil.copytree(source, to / ".cache" / "source")
    if small:
        small.install(to)
    change(to, SMALL)
    git(to, "init", "--quiet", "--initial-branch", "main")


def adjusted(train: Train, **values: Any) -> Train:
    """Other values of the problem's own settings, those that it has."""
    return replace(train, **{name: value for name, value in values.items() if name in train.__struct_fields__})


def kinds(train: Train) -> list[Train]:
    """The settings with each kind of model that the problem offers, if it offers several."""
    chosen = getattr(get_type_hints(type(train)).get("model"), "__args__", ())
    return [adjusted(train, model=name) for name in chosen] or [train]


def change(project: Path, values: dict[str, Any]) -> None:
    """Sets parameters by their dotted names; a name that is not there yet is added."""
    path = project / "params.yaml"
    tree = yaml.safe_load(path.read_text())
    for name, value in values.items():
        section, key = name.split(".")
        tree[section] = (tree.get(section) or {}) | {key: value}
    path.write_text(yaml.safe_dump(tree, sort_keys=False))


def commit(project: Path, message: str = "Work") -> str:
    git(project, "add", "--all")
    git(project, "commit", "--quiet", "--message", message)
    return git(project, "rev-parse", "HEAD")


def clone(project: Path, to: Path) -> Path:
    """What somebody else gets, and the download that the source would have cost."""
    git(project, "clone", "--quiet", str(project), str(to))
    shutil.copytree(project / ".cache" / "source", to / ".cache" / "source")
    return to


def git(folder: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", *words], cwd=folder, env=_variables(folder), capture_output=True, text=True, check=False
    )
    assert not done.returncode, f"git {' '.join(words)}: {done.stderr}"
    return done.stdout.strip()


def environment(project: Path) -> dict[str, str]:
    """What runs in a project sees: a home of its own, which is made, with the shared libraries of registered versions."""
    variables = _variables(project)
    link(Path(variables["HOME"]), Path(os.environ["TESTS_LIBRARIES"]))
    return variables


def _variables(folder: Path) -> dict[str, str]:
    """Nothing of the person's own but the programs: no home that is theirs, no git settings but a name."""
    home = folder.parent / f"{folder.name}.home"
    kept = {name: os.environ[name] for name in ("MPLCONFIGDIR", "TMPDIR", "LANG") if name in os.environ}
    kept |= {f"GIT_{who}_{what}": "tester" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    return kept | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(home),
        "DVC_SITE_CACHE_DIR": str(home / "dvc"),
        "GIT_CONFIG_NOSYSTEM": "1",
        "PYTHONPATH": str(folder / "src"),
    }


def link(home: Path, libraries: Path) -> None:
    """Have what runs with this home start registered versions with shared libraries, which take seconds to install."""
    place = home / bundle.HOME.relative_to("~")
    place.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):  # another worker may have been quicker
        place.symlink_to(libraries)


def run(
    project: Path, *words: str, code: int | None = 0, module: str = "delivery", cold: bool = False
) -> subprocess.CompletedProcess[str]:
    """`python -m delivery ...` in the project; asserts the exit code unless it is None."""
    return python(project, "-m", module, *words, code=code, cold=cold)


def python(project: Path, *words: str, code: int | None = 0, cold: bool = False) -> subprocess.CompletedProcess[str]:
    """Run Python in the project, and what it starts there: warm (warm.py), or `cold`, as a person's own."""
    variables = environment(project)
    program = Path(sys.executable) if cold else warm.environment() / "bin" / "python"
    variables["PATH"] = f"{program.parent}{os.pathsep}{variables['PATH']}"
    done = subprocess.run([program, *words], cwd=project, env=variables, capture_output=True, text=True, check=False)
    assert code is None or done.returncode == code, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def repro(project: Path, *words: str, code: int | None = 0, cold: bool = False) -> subprocess.CompletedProcess[str]:
    return run(project, "repro", *words, code=code, module="dvc", cold=cold)
