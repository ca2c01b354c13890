"""Verb `adopt`: replace the sample problem with another one; the machinery stays as it is.

The data, results and tests of the former problem are removed; git has them still. The new source is tried first: as long as
it fails, nothing is changed.
"""

import argparse
import shutil
import sys
from pathlib import Path

from delivery.adapters import dvc, git
from delivery.core import ownership, params, programs, workspace
from delivery.core.errors import Failure
from delivery.core.files import replacing
from delivery.fork import cadence

PROBLEM, TESTS = Path("src/problem"), Path("tests/problem")
FILES = (*ownership.PROBLEM_MODULES, ownership.PARAMS)
LEFT = (
    workspace.DATA,
    workspace.DATA_FILE,
    workspace.DVC_LOCK,
    workspace.ARTIFACTS,
    workspace.REPORTS,
    workspace.CACHE / "drift",
)
NEXT = "git add --all && git commit --message 'Our problem', then make run"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the verb."""
    parser.add_argument(
        "folder", type=Path, help=f"folder of the problem: {', '.join(FILES)}, and tests/ if it has its own"
    )


def main(options: argparse.Namespace) -> None:
    """Adopt the problem and print what to do next."""
    print(run(options.folder))


def run(folder: Path) -> str:
    """Fetch data from the new source, then put the problem's files in place; return what to do next.

    Raise `Failure` if files are missing, changes are uncommitted or the source fails; only caches are touched by then.
    """
    if absent := [name for name in FILES if not (folder / name).is_file()]:
        raise Failure(
            f"{folder} is no problem: it has no {', '.join(absent)}; docs/how-to/new-problem.md says what they hold"
        )
    if git.changed():
        raise Failure("there are uncommitted changes, and adopt removes files; commit or stash them first")
    shutil.rmtree(workspace.SOURCE_CACHE, ignore_errors=True)  # downloads of the former source
    with replacing(workspace.DATA) as fetched:
        fetch(folder, fetched)
        place(folder)
    dvc.run("add", "--quiet", str(workspace.DATA))
    paces = "".join(f"adopt: {line}\n" for line in cadence.settle(params.judging()))
    return f"{paces}adopt: {folder} is in place; {NEXT}"


def fetch(folder: Path, to: Path) -> None:
    """Fetch the data of the problem in `folder`, in another process: this one has imported the former problem.

    Raise `Failure` if its source fails.
    """
    trial = to.parent / PROBLEM.name
    trial.mkdir()
    for path in (PROBLEM / "__init__.py", *(folder / name for name in ownership.PROBLEM_MODULES)):
        shutil.copyfile(path, trial / path.name)
    words = ["-m", "delivery", "fetch", "--params", str(folder / workspace.PARAMS.name), "--to", str(to)]
    completed = programs.run(
        [sys.executable, *words], env=dvc.path_first() | {"PYTHONPATH": str(trial.parent.resolve())}
    )
    if completed.returncode:
        print(completed.stderr, end="", file=sys.stderr)
        raise Failure(f"{folder} gives no data yet, so nothing was changed; fix it and adopt it again")


def place(folder: Path) -> None:
    """Replace the former problem's files, results and tests by those in `folder`."""
    for path in (*LEFT, *Path("tests").rglob("problem")):  # each suite keeps the problem's tests in such a folder
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    for name in ownership.PROBLEM_MODULES:
        shutil.copyfile(folder / name, PROBLEM / name)
    shutil.copyfile(folder / workspace.PARAMS.name, workspace.PARAMS)
    if (folder / "tests").is_dir():
        shutil.copytree(folder / "tests", TESTS)
