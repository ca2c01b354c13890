"""Files that the branch `store` cannot hold: GitHub refuses a push with a file of more than 100 MiB.

docs.github.com/en/repositories/working-with-files/managing-large-files/about-large-files-on-github
"""

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path

from delivery.adapters import dvc, git
from delivery.core import programs, workspace
from delivery.core.errors import Failure

MEGABYTE = 1 << 20
LIMIT_MB = 100.0  # GitHub's
VARIABLE = "DELIVERY_FILE_MB"  # a GitHub Enterprise Server may have another limit
GROWTH = 10  # the prepared rows are assumed to be at most so many times as large as the raw tables
OBJECTS = "keep data and models in a bucket (docs/how-to/scale.md), or make it smaller"
VERSIONS = "keep the versions on a registry server (docs/how-to/scale.md), or make it smaller"
SHOWN = 3  # files named in a message


def limit() -> float:
    """Return the size of the largest file that the branch may hold, in bytes. Raise `Failure` if it is not a number."""
    text = os.environ.get(VARIABLE, "")
    try:
        return float(text or LIMIT_MB) * MEGABYTE
    except ValueError:
        raise Failure(f"{VARIABLE}={text} is not a number of megabytes; set it to one, or unset it") from None


def refuse_before_training(prepare: Callable[[], object]) -> None:
    """Raise `Failure` if a raw table or a file of prepared rows is too large for the branch, before `train` works on it.

    `prepare` runs the pipeline up to that stage, and is called only if its output may be too large.
    """
    refuse_objects(workspace.DATA)
    if _in_branch() and dvc.data_size() * GROWTH > limit():
        prepare()
        refuse_objects(workspace.PREPARED)


def refuse_objects(*folders: Path) -> None:
    """Raise `Failure` if a file of these folders is too large for the branch, and DVC keeps it there."""
    if _in_branch():
        refuse([path for folder in folders for path in folder.rglob("*")], OBJECTS)


def refuse(paths: Iterable[Path], remedy: str) -> None:
    """Raise `Failure` if one of these files is too large for the branch. Without a remote there is no branch."""
    if git.remote() and (found := too_large(paths)):
        raise Failure(f"{describe(found)}; {remedy}")


def too_large(paths: Iterable[Path]) -> list[Path]:
    """Return those of these files that are larger than the limit."""
    most = limit()
    return sorted(path for path in paths if path.is_file() and path.stat().st_size > most)


def describe(found: list[Path]) -> str:
    """Return a sentence about files that are too large."""
    names = ", ".join(f"{path} ({path.stat().st_size / MEGABYTE:.1f} MB)" for path in found[:SHOWN])
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return f"{names}{more} cannot be kept in the branch `store`: GitHub takes at most {limit() / MEGABYTE:g} MB a file"


def unstorable(folder: Path, names: Iterable[str]) -> list[str]:
    """Return those of these files of the store that must not be pushed: too large, or a list of DVC that names such a file.

    With its list in the store, DVC would take a folder for complete.
    """
    paths = {name: folder / name for name in names}
    large = {name for name, path in paths.items() if too_large([path])}
    digests = {paths[name].parent.name + paths[name].name for name in large}
    lists = {name: path for name, path in paths.items() if digests and path.suffix == ".dir" and path.is_file()}
    named = {
        name for name, path in lists.items() if {entry["md5"] for entry in json.loads(path.read_bytes())} & digests
    }
    return sorted(large | named)


def committed(folder: Path, since: str) -> bool:
    """Return whether the commits of the store after `since`, or all commits if it is empty, hold a file that is too large."""
    listed = git.git("rev-list", "--objects", "HEAD", *([f"^{since}"] if since else []), cwd=folder)
    objects = "\n".join(line.split(" ")[0] for line in listed.splitlines())
    command = ["git", "cat-file", "--batch-check=%(objecttype) %(objectsize)"]
    sizes = programs.run(command, cwd=folder, text=objects, check=True).stdout.splitlines()
    return any(kind == "blob" and int(size) > limit() for kind, size in map(str.split, sizes))


def _in_branch() -> bool:
    return dvc.in_store() and git.remote() is not None
