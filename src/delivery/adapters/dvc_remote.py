"""DVC's default remote, where it is a bucket: send objects and verify them there. `dvc push` reads nothing back."""

import hashlib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from delivery.core.errors import Failure

TRANSFERS = 8  # objects sent at once
BLOCK = 1 << 20


def opened() -> Any:
    """Return the default remote's object database. Raise `Failure` if it cannot be used."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    with Repo() as repo:
        try:
            return repo.cloud.get_remote_odb()
        except DvcException as error:
            raise Failure(f"DVC's remote cannot be used: {str(error).splitlines()[0]}") from None


def address(remote: Any) -> str:
    """Return the address of the remote's objects."""
    return str(remote.fs.unstrip_protocol(remote.path))


def send(remote: Any, paths: Iterable[Path]) -> int:
    """Send what the remote lacks, read every object back, and return how many were sent.

    Raise `Failure` if an object is broken here, or there after sending, or if the remote cannot be used.
    """
    sent: list[bool] = []
    try:
        # DVC takes the list of a folder as a sign that all of its files exist, so lists go last.
        for lists in (False, True):
            with ThreadPoolExecutor(TRANSFERS) as pool:
                sent += pool.map(lambda path: _send(remote, path), [p for p in paths if (p.suffix == ".dir") == lists])
    except Failure:
        raise
    except Exception as error:  # the errors of cloud clients have no common base class
        raise unusable(remote, error) from None
    return sum(sent)


def absent(remote: Any, paths: Iterable[Path]) -> list[Path]:
    """Return the objects, by path, that the remote lacks. Raise `Failure` if the remote cannot be used."""
    try:
        return [path for path in paths if not remote.fs.isfile(remote.oid_to_path(path.parent.name + path.name))]
    except Exception as error:  # as above
        raise unusable(remote, error) from None


def unusable(remote: Any, error: Exception) -> Failure:
    """Return the failure that names the remote and the first line of the error."""
    return Failure(f"DVC's remote {address(remote)} cannot be used: {str(error).splitlines()[0]}")


def _send(remote: Any, path: Path) -> bool:
    """Return whether the object had to be sent. Raise `Failure` if it is broken here, or there after sending."""
    name = path.parent.name + path.name
    target, digest = remote.oid_to_path(name), name.removesuffix(".dir")
    if _md5(path.open) != digest:
        raise Failure(
            f"{path} does not match its digest; take it from a backup, or remove it and make it again by `dvc repro --force`"
        )
    if remote.fs.isfile(target) and _md5(lambda mode: remote.fs.open(target, mode)) == digest:
        return False
    remote.fs.makedirs(remote.fs.parent(target), exist_ok=True)
    remote.fs.put_file(str(path), target)
    if _md5(lambda mode: remote.fs.open(target, mode)) != digest:
        raise Failure(f"{target} came out different from {path}; run this again")
    return True


def _md5(opened: Callable[[str], Any]) -> str:
    """Return DVC's own digest, read a block at a time."""
    total = hashlib.md5(usedforsecurity=False)
    with opened("rb") as stream:
        while block := stream.read(BLOCK):
            total.update(block)
    return total.hexdigest()
