"""The history of the branch `store`: which files are new in it, and how one commit takes the place of all of them."""

import tempfile

from delivery.adapters import store
from delivery.adapters.git import git, reason, remote, run, suffix
from delivery.core import workspace
from delivery.core.errors import Failure

ALL = "2147483647"  # git's word for an infinite depth
# No branches, so that no clone fetches them. `before` is what the branch had, until the new history is proven.
NEXT, BEFORE = "refs/delivery/next", "refs/delivery/before"


def published() -> bool:
    """Return whether the remote has the branch. Raise `Failure` if it does not answer."""
    listing = run("ls-remote", "origin", f"refs/heads/{store.branch()}")
    if listing.returncode:
        raise Failure(f"the remote does not answer ({reason(listing)}); run it again")
    return bool(listing.stdout)


def complete() -> None:
    """Fetch the commits of the whole history, without the contents of old files where the remote can leave them out."""
    git("fetch", "--quiet", "--depth", ALL, "--filter=blob:none", "origin", store.branch(), cwd=workspace.STORE)


def added_since(days: int) -> set[str]:
    """Return the paths of the files that were added in the last days."""
    how = ("--format=", "--name-only", "--no-renames", "--diff-filter=A", "-z")
    listed = git("log", f"--since={days}.days", *how, cwd=workspace.STORE)
    return {name for name in listed.replace("\n", "").split("\0") if name}


def replace(message: str) -> str:
    """Commit, and make that the only commit of the branch on the remote. Return an empty string, or why the history stays.

    The remote's copy is compared with ours before the branch moves, and what the branch had stays until it has moved. A rule
    may forbid that (`.github/rulesets/store.json`, which lets no workflow through): then the commit is pushed on top.
    Raise `store.LostRace` if another writer has pushed meanwhile, and `Failure` if the remote refuses both; .store/ is then
    as the remote has it.
    """
    ours, old = f"refs/heads/{store.branch()}", git("rev-parse", store.PUSHED, cwd=workspace.STORE)
    store.commit(message)
    new = git(*store.IDENTITY, "commit-tree", "HEAD^{tree}", "-m", message, cwd=workspace.STORE)
    try:
        _push(f"+{new}:{NEXT}{suffix()}", f"+{old}:{BEFORE}{suffix()}")
        _verify(new)
        new, refusal = _swap(new, ours, old)
    except Failure:
        git("reset", "--quiet", "--hard", old, cwd=workspace.STORE)
        raise
    git("reset", "--quiet", "--hard", new, cwd=workspace.STORE)
    git("update-ref", store.PUSHED, "HEAD", cwd=workspace.STORE)
    _push(f":{NEXT}{suffix()}", f":{BEFORE}{suffix()}")
    return refusal


def _swap(new: str, ours: str, old: str) -> tuple[str, str]:
    """Move the branch from `old` to `new`, or push on top of it; return the branch's commit and the reason for the latter."""
    try:
        _push(f"{new}:{ours}", lease=f"{ours}:{old}")
    except store.LostRace:
        raise
    except Failure as refused:
        _push(f"HEAD:{ours}")
        return git("rev-parse", "HEAD", cwd=workspace.STORE), str(refused)
    return new, ""


def _push(*refs: str, lease: str = "") -> None:
    how = [f"--force-with-lease={lease}"] if lease else []
    done = run("push", "--porcelain", *how, "origin", *refs, cwd=workspace.STORE)
    if not done.returncode:
        return
    lines = [" ".join(line.split()) for line in done.stdout.splitlines() if line.startswith("!")]
    text = f"the store could not be pushed: {'; '.join(lines) or reason(done)}"
    if any(word in text for word in store.LOST_RACE):
        raise store.LostRace(text)
    raise Failure(text)


def _verify(new: str) -> None:
    """Raise `Failure` unless a fresh clone of the new history has the same files, and each of them can be read."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        git("init", "--quiet", scratch)
        git("-C", scratch, "config", "gc.auto", "0")  # it would tidy up while the folder is removed
        address = git("config", "remote.origin.url", cwd=workspace.STORE) or remote() or ""
        git("-C", scratch, "fetch", "--quiet", "--depth", "1", address, f"{NEXT}{suffix()}")
        git("-C", scratch, "fsck", "--no-dangling", "FETCH_HEAD")
        fetched, made = (
            git("-C", scratch, "rev-parse", "FETCH_HEAD^{tree}"),
            git("rev-parse", f"{new}^{{tree}}", cwd=workspace.STORE),
        )
        if fetched != made:
            raise Failure(
                f"the remote has {fetched} for {made}; the history of the store stays as it is, run this again"
            )
