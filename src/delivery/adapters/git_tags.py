"""Annotated tags of this repository on its remote, which hold a text that a push to another branch cannot change."""

import fcntl
import time
from collections.abc import Mapping
from pathlib import Path

from delivery.adapters import git, store
from delivery.core import files, programs, workspace
from delivery.core.errors import Failure

PATIENCE = 5.0  # seconds for the remote to answer; without it the tags count that this machine knows
PUSHING = 30.0  # seconds
AGE = 60.0  # seconds for which tags are not asked again
_asked: dict[Path, tuple[float, str]] = {}  # when this process asked and what was wrong, by copy


def read(prefix: str) -> tuple[Mapping[str, str], str]:
    """Return the texts of the remote's annotated tags whose names start with `prefix`, and why they may not be current.

    They are kept in a repository of their own: this one may be shallow, and a person's tags are not touched.
    """
    url = git.remote()
    if not url:
        return {}, "there is no remote"
    copy = workspace.GIT_TAGS.resolve()
    stale = _fetch(copy, str(Path(url).resolve()) if Path(url).exists() else url, prefix)
    if not copy.exists():
        return {}, stale
    form = "--format=%(objecttype) %(refname:strip=2)%0a%(contents)%00"
    listed = git.git("for-each-ref", form, f"refs/tags/{prefix}*", cwd=copy)
    entries = (entry.lstrip("\n").partition("\n") for entry in listed.split("\0"))
    return {head.removeprefix("tag "): text for head, _, text in entries if head.startswith("tag ")}, stale


def _fetch(copy: Path, url: str, prefix: str) -> str:
    """Update the copy unless the remote was asked just now; return the reason if it does not answer."""
    if copy not in _asked or time.monotonic() - _asked[copy][0] >= AGE:
        stale = _update(copy, url, prefix)
        _asked[copy] = (time.monotonic(), stale)
    return _asked[copy][1]


def _update(copy: Path, url: str, prefix: str) -> str:
    copy.parent.mkdir(parents=True, exist_ok=True)
    try:
        with copy.with_suffix(".lock").open("w") as held:
            fcntl.flock(held, fcntl.LOCK_EX)  # two fetches at once would each miss what the other has locked
            if not copy.exists():
                with files.replacing(copy) as scratch:
                    git.git("init", "--quiet", "--bare", str(scratch))
                    git.git("remote", "add", "origin", url, cwd=scratch)
            git.git("remote", "set-url", "origin", url, cwd=copy)
            # Of what a tag points to only the commit: no older ones, no files.
            how = ("--quiet", "--no-tags", "--prune", "--depth", "1", "--filter", "tree:0")
            tags = f"+refs/tags/{prefix}*:refs/tags/{prefix}*"
            done = git.run("fetch", *how, "origin", tags, cwd=copy, seconds=PATIENCE)
    except Failure as failure:
        return str(failure)
    # Git exits with 1 and without a word if no tag matches.
    if done.returncode and any(line.startswith(("fatal:", "error:")) for line in done.stderr.splitlines()):
        return git.reason(done)
    return ""


def create(name: str, commit: str, text: str) -> None:
    """Make an annotated tag of a commit on the remote. Raise `Failure` if the remote refuses it, or has it already."""
    head = f"object {commit}\ntype commit\ntag {name}\ntagger {store.NAME} <{store.EMAIL}> {int(time.time())} +0000\n"
    made = programs.run(["git", "mktag"], text=f"{head}\n{text}\n", check=True).stdout.strip()
    done = git.run("push", "--quiet", "origin", f"{made}:refs/tags/{name}", seconds=PUSHING)
    if done.returncode:
        raise Failure(f"the tag {name} could not be pushed: {git.reason(done)}")
    _asked.clear()
