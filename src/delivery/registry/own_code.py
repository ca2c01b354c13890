"""Ask a version's own code for its predictions, where its problem differs from the one that is checked out.

A feature may have been dropped, added or computed differently since: only the code that a model was trained with knows what
it must be given. It runs in a process of its own, with the libraries that are installed here.
"""

import io
import os
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pandas as pd

import delivery
import problem
from delivery.adapters import git
from delivery.core import files, programs
from delivery.core.errors import Failure
from delivery.registry import release
from delivery.registry.own_rows import Asked
from delivery.registry.version import Version

CHILD = "delivery.registry.own_rows"


def of_version(version: Version, version_files: Path) -> Path | None:
    """Return the folder of the version's package `problem` if it differs from the one that is checked out, else None.

    `version_files`: folder with the version's files. One that was registered without its code has that of its commit; if
    this repository does not have it, None.
    """
    bundled = version_files / release.BUNDLE / release.PROBLEM
    if bundled.is_dir():
        return differing(bundled)
    return of_commit(version.commit, version_files / "own") if version.commit else None


def of_commit(commit: str, to: Path) -> Path | None:
    """Return the folder of a commit's package `problem`, written below `to`, if it differs from the one that is checked out.

    Return None if this repository does not have the commit or the commit has no such package.
    """
    found = to / release.PROBLEM
    if not found.is_dir():
        try:
            archive = git.archive(commit, [str(release.PROBLEM)])
        except Failure:
            return None
        with files.replacing(to) as scratch, tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            scratch.mkdir(parents=True)
            tar.extractall(scratch, filter="data")
    return differing(found) if found.is_dir() else None


def differing(package: Path) -> Path | None:
    """Return the folder of a package `problem` if its source differs from the one that is checked out, else None."""
    return None if source(package) == source(Path(problem.__file__).parent) else package


def source(package: Path) -> dict[str, bytes]:
    """Return the contents of a package's files by name, without what Python compiles from them."""
    paths = (path for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(package).as_posix(): path.read_bytes() for path in paths}


def predictions(
    package: Path, model: Path, data: Path, newest: str, engine: str = "memory", *, only: Sequence[str] = (), who: str = "it"
) -> pd.DataFrame:  # fmt: skip
    """Return the model's predictions by the code in `package`, as `stats.predictions` names the columns, and "hash" of each row.

    `data`: folder of raw data up to the period `newest`; `only`: the periods that are wanted, all by default. "hash" is
    that of the row's keys and features. Raise `Failure` that says what its code needs if it cannot be run on these data.
    """
    with tempfile.TemporaryDirectory() as scratch:
        (Path(scratch) / "problem").symlink_to(package.resolve())
        to = Path(scratch) / "predictions.parquet"
        asked = Asked(str(model), str(data), newest, "memory" if engine == "memory" else "stream", tuple(only), str(to))
        ours = Path(delivery.__file__).parents[1]
        path = {"PYTHONPATH": f"{scratch}{os.pathsep}{ours}", "PYTHONDONTWRITEBYTECODE": "1"}
        done = programs.run([sys.executable, "-m", CHILD], env=path, text=msgspec.json.encode(asked).decode())
        if done.returncode:
            raise Failure(f"the code of {who} cannot compute its features from these data: {programs.last_line(done)}")
        return pd.read_parquet(to)
