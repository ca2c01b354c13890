"""Write files whole or not at all, and read them back with a clear error if they are missing."""

import glob
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from delivery.core.errors import Failure

SCRATCH = ".scratch"  # the end of a temporary folder's name, which git ignores

DIGITS = 6  # decimal places of every number in a report


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path next to `path`, for a file or folder that replaces it at the end.

    An interruption or a full disk leaves the old one in place. Remove the leftovers of killed processes first.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep(path.parent, f".{glob.escape(path.name)}.*")
    prefix = f".{path.name}.{os.getpid()}."
    scratch = Path(tempfile.mkdtemp(prefix=prefix, suffix=SCRATCH, dir=path.parent))
    try:
        yield scratch / path.name
        if path.is_dir() and not path.is_symlink():
            _swap(scratch / path.name, path, scratch / "old.folder")
        else:
            os.replace(scratch / path.name, path)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _swap(new: Path, path: Path, aside: Path) -> None:
    """Replace a folder: rename the old one, because a folder cannot be overwritten, and restore it if that fails."""
    try:
        os.rename(path, aside)
        os.replace(new, path)
    except BaseException:
        if not path.exists():
            os.rename(aside, path)
        raise


def sweep(folder: Path, names: str) -> None:
    """Remove the temporary folders matching `names` whose process has ended."""
    for scratch in folder.glob(names + SCRATCH):
        pid = scratch.name.split(".")[-3]
        if not (pid.isdigit() and _runs(int(pid))):
            shutil.rmtree(scratch, ignore_errors=True)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # the process of another user
    return True


def write(path: Path, content: bytes | str) -> None:
    """Write the content to `path`, replacing it at once."""
    with replacing(path) as scratch:
        scratch.write_bytes(content.encode() if isinstance(content, str) else content)


def write_json(path: Path, content: Any, *, exact: bool = False) -> None:
    """Write indented JSON with sorted keys, rounded to DIGITS unless `exact`: the same numbers give the same bytes."""
    content = content if exact else rounded(content)
    write(path, json.dumps(content, indent=1, sort_keys=True, allow_nan=False) + "\n")


def read_json(path: Path, made_by: str) -> Any:
    """Return the content of a JSON file. Raise `Failure`, naming the verb that makes it, if it is missing or not JSON."""
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        raise Failure(f"{path} is missing; run `delivery {made_by}` first") from None
    except ValueError as error:
        raise Failure(f"{path} is not JSON ({error}); run `delivery {made_by}` again") from None


def rounded(content: Any) -> Any:
    """Return the content as plain JSON values, with floats rounded to DIGITS."""
    if isinstance(content, dict):
        return {str(key): rounded(value) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [rounded(value) for value in content]
    if hasattr(content, "item"):  # a numpy scalar
        content = content.item()
    return round(content, DIGITS) if isinstance(content, float) else content


def digest(path: Path) -> str:
    """Return the sha256 of a file, or of a folder's names and contents."""
    if path.is_file():
        return hashlib.sha256(path.read_bytes()).hexdigest()
    total = hashlib.sha256()
    for file in sorted(path.rglob("*")):
        if file.is_file():
            total.update(f"{file.relative_to(path).as_posix()} {digest(file)}\n".encode())
    return total.hexdigest()
