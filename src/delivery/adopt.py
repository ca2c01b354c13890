"""Verb `adopt`: another problem takes the sample's place; nothing of the machinery is touched.

What the former problem left goes: its data, results and tests. What git holds is the way back.
"""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

from delivery import git, reproduce
from delivery.baseline import path_first
from delivery.errors import Failure
from delivery.files import ARTIFACTS, CACHE, DATA, REPORTS
from delivery.params import PARAMS

PROBLEM, TESTS = Path("src/problem"), Path("tests/problem")
MODULES = ("source.py", "schema.py", "features.py", "model.py", "metrics.py")
FILES = (*MODULES, PARAMS.name)
LEFT = (DATA, Path("data.dvc"), Path("dvc.lock"), ARTIFACTS, REPORTS, CACHE / "drift", CACHE / "source")
NEXT = "git add --all && git commit --message 'Our problem', then make run"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, help=f"with {', '.join(FILES)}, and tests/ if it has its own")


def main(options: argparse.Namespace) -> None:
    print(run(options.folder))


def run(folder: Path) -> str:
    """Files into place, then data/ from the new source. Raises Failure before anything is touched, or the source's own."""
    if absent := [name for name in FILES if not (folder / name).is_file()]:
        raise Failure(f"{folder} is no problem: it has no {', '.join(absent)}; docs/new-problem.md says what they hold")
    if git.changed():
        raise Failure("there are uncommitted changes, and adopt removes files; commit or stash them first")
    place(folder)
    fetch()
    return f"adopt: {folder} is in place; {NEXT}"


def place(folder: Path) -> None:
    for path in (*LEFT, *Path("tests").rglob("problem")):  # of each suite, what is of the problem
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    for name in MODULES:
        shutil.copyfile(folder / name, PROBLEM / name)
    shutil.copyfile(folder / PARAMS.name, PARAMS)
    if (folder / "tests").is_dir():
        shutil.copytree(folder / "tests", TESTS)


def fetch() -> None:
    """In a process of its own: this one has the former problem in memory."""
    words = [sys.executable, "-m", "delivery", "fetch"]
    if subprocess.run(words, env=os.environ | path_first(), check=False).returncode:
        raise Failure("the files are in place and the source refuses; mend it, then `python -m delivery fetch`")
    reproduce.dvc("add", "--quiet", str(DATA))
