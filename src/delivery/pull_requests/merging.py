"""Merge the base branch into a pull request's branch where only results and separate keys of params.yaml are in the way.

Results are made again after the merge, so which side's are taken does not matter. Nothing is checked out: the files of a
pull request are data here, and no code of it runs.
"""

import tempfile
from pathlib import Path
from typing import Any

from msgspec import Struct

from delivery.adapters import git, store
from delivery.core import params, params_file, workspace
from delivery.core.errors import Failure

RESULTS = tuple(name for name in workspace.RESULTS if name != workspace.DVC_YAML)  # a person wrote dvc.yaml


class Merge(Struct, frozen=True):
    """A merge commit, or the paths in conflict that a person has to merge."""

    commit: str = ""
    conflicts: tuple[str, ...] = ()


def merge(base: str, head: str, message: str, *, always: bool = False) -> Merge | None:
    """Return the merge of `base` into `head`; None if nothing conflicts, so that there is nothing to do, unless `always`."""
    completed = git.run("merge-tree", "--write-tree", "--name-only", "--no-messages", "-z", base, head)
    if completed.returncode == 0:
        tree = completed.stdout.partition("\0")[0]
        return Merge(commit=committed(tree, {}, (head, base), message)) if always else None
    if completed.returncode != 1:
        raise Failure(f"git merge-tree: {git.reason(completed)}")
    tree, *names = completed.stdout.rstrip("\0").split("\0")
    settled: dict[str, str] = {}
    left = []
    for name in names:
        blob = settle(base, head, name)
        if blob is None:
            left.append(name)
        else:
            settled[name] = blob
    if left:
        return Merge(conflicts=tuple(left))
    return Merge(commit=committed(tree, settled, (head, base), message))


def settle(base: str, head: str, name: str) -> str | None:
    """Return the blob that settles a conflict; None if a person has to."""
    entry = git.git("ls-tree", base, "--", name).split()
    if entry[:2] != ["100644", "blob"]:  # absent on one side, or not a plain file
        return None
    if any(name == result or name.endswith(f"/{result}") for result in RESULTS):
        return entry[2]
    if Path(name).name != str(workspace.PARAMS):
        return None
    start = git.git("merge-base", base, head)
    text = merged_params(*(content(revision, name) for revision in (start, head, base)))
    if text is None:
        return None
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch, "params.yaml")
        file.write_bytes(text.encode())
        return git.git("hash-object", "-w", "--no-filters", str(file))


def content(revision: str, name: str) -> str:
    """Return a file of the repository as of a revision, with its last line break; empty if it does not exist there."""
    completed = git.run("show", f"{revision}:{name}")
    return completed.stdout if completed.returncode == 0 else ""


def merged_params(start: str, ours: str, theirs: str) -> str | None:
    """Return `theirs` with the values that `ours` has changed since `start`; None if both changed a key, or more than values."""
    try:
        trees = [params.tree(text) or {} for text in (start, ours, theirs)]
        if not all(_plain(tree, set()) for tree in trees):
            return None
        before, mine, other = map(params_file.flat, trees)
        changes = {key: value for key, value in mine.items() if before.get(key, ...) != value}
        if before.keys() - mine.keys() or any(other.get(key, ...) != before.get(key, ...) for key in changes):
            return None
        for key, value in changes.items():
            section, _, name = key.partition(".")
            if "." in name or not name or not isinstance(value, int | float | str | bool):
                return None
            theirs = params_file.edited(theirs, section, {name: value})
    except Failure:
        return None
    return theirs


def _plain(tree: Any, seen: set[int]) -> bool:
    """Return whether this is a mapping of names at every level, each there once: anybody may propose any params.yaml.

    With aliases, a few lines hold a mapping that is in itself, or has a billion values.
    """
    if not isinstance(tree, dict) or id(tree) in seen:
        return False
    seen.add(id(tree))
    return all(
        isinstance(name, str) and (not isinstance(value, dict) or _plain(value, seen)) for name, value in tree.items()
    )


def committed(tree: str, settled: dict[str, str], parents: tuple[str, str], message: str) -> str:
    """Return a merge commit of the tree, with these blobs in place of its conflicts."""
    with tempfile.TemporaryDirectory() as scratch:
        index = {"GIT_INDEX_FILE": str(Path(scratch, "index"))}
        git.git("read-tree", tree, env=index)
        for name, blob in settled.items():
            git.git("update-index", "--add", "--cacheinfo", f"100644,{blob},{name}", env=index)
        whole = git.git("write-tree", env=index)
    words = [word for parent in parents for word in ("-p", parent)]
    return git.git(*store.IDENTITY, "commit-tree", whole, *words, "-m", message)
