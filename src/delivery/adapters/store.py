"""The store: an orphan branch of this repository, checked out at .store/, that keeps what git does not.

`dvc/` is the DVC remote, whose names are digests, so two writers never conflict; `mlflow/` is the
registry's database and artifacts, one writer at a time: a writer that loses the race redoes its change on the newer store.
"""

import argparse
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from delivery.adapters import github, large_files, lost_store
from delivery.adapters.git import git, reason, remote, run, suffix
from delivery.core import retries, workspace
from delivery.core.errors import Failure
from delivery.core.files import replacing, write

NAMED = "store"
TRIES = 6
PUSHED = "refs/delivery/pushed"  # the commit that the remote is known to have
# Git's messages to a writer that loses the race; "[remote rejected]" is not one: a hook or branch protection refuses.
LOST_RACE = ("[rejected]", "cannot lock", "failed to update ref", "incorrect old value")
README = """# Store

Written by `delivery`; do not edit by hand. `dvc/` holds data and models by digest, `mlflow/` the
registry: `mlflow server --backend-store-uri sqlite:///mlflow/mlflow.db
--artifacts-destination ./mlflow/artifacts` shows it.
"""
IGNORED = ".*.scratch/\n.*.tmp\n"  # leftovers of killed processes, ours and DVC's
STALE = 10  # seconds; no git command on the store takes that long
# GitHub's own bot: another no-reply address may belong to a stranger's account.
NAME, EMAIL = "github-actions[bot]", "41898282+github-actions[bot]@users.noreply.github.com"
IDENTITY = ("-c", f"user.name={NAME}", "-c", f"user.email={EMAIL}", "-c", "commit.gpgsign=false")


class LostRace(Failure):
    """A push that was refused because another writer was faster."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the verb."""
    parser.add_argument("action", choices=("pull", "push"), help="direction: pull from the remote, or push to it")


def main(options: argparse.Namespace) -> None:
    """Pull or push the store and print the result. Raise `Failure` if a file is too large to be pushed."""
    print(pull() if options.action == "pull" else push("push by hand"))
    if options.action == "push" and remote() and (left := _changes()[1]):
        raise Failure(f"{large_files.describe([workspace.STORE / name for name in left])}; {large_files.OBJECTS}")


def branch() -> str:
    """Return the store branch of this folder's model: `store`, or such as `store-models-digits` with several models."""
    return NAMED + suffix()


def pull() -> str:
    """Update .store/ to the remote's branch, or create an empty store if there is none. Return a line about it.

    Raise `Failure` in a workflow if the branch was deleted.
    """
    _unlock()
    url = remote()
    listing = run("ls-remote", "origin", f"refs/heads/{branch()}") if url else None
    if listing and listing.returncode:
        return _without_remote(reason(listing))
    published = bool(listing and listing.stdout)
    if url and not published:
        lost_store.refuse(branch())
    if not (workspace.STORE / ".git").exists():
        return _create(url or "", published)
    if not published:
        return "store: local only; `delivery store push` makes the branch" if url else "store: local only"
    git("fetch", "--quiet", "--depth", "1", "origin", branch(), cwd=workspace.STORE)
    if git("rev-parse", "HEAD", cwd=workspace.STORE, check=False) == git(
        "rev-parse", "FETCH_HEAD", cwd=workspace.STORE
    ):
        return "store: up to date"
    if ahead():
        return "store: this machine has records that the remote lacks; push them or delete .store/"
    git("reset", "--quiet", "--hard", "FETCH_HEAD", cwd=workspace.STORE)
    _mark()
    return "store: updated"


def _without_remote(reason: str) -> str:
    """Continue with the local store if the remote does not answer.

    Raise `Failure` in a workflow without a local store: with an empty one it would miss the champion.
    """
    if (workspace.STORE / ".git").exists():
        return f"store: the remote does not answer ({reason}); using the one on this machine"
    if github.inside():
        raise Failure(f"the remote does not answer ({reason}), so the store is not available; run the job again")
    _create(remote() or "", published=False)
    return f"store: the remote does not answer ({reason}); created an empty one on this machine, without a champion"


def _create(url: str, published: bool) -> str:
    """Clone the remote's branch if it is published, otherwise start a new one. Return a line about it."""
    with replacing(workspace.STORE) as scratch:
        if published:
            git("clone", "--quiet", "--depth", "1", "--single-branch", "--branch", branch(), url, str(scratch))
        else:
            git("init", "--quiet", "--initial-branch", branch(), str(scratch))
            if url:
                git("remote", "add", "origin", str(Path(url).resolve()) if Path(url).exists() else url, cwd=scratch)
        if workspace.STORE.is_dir():  # DVC or the registry wrote before there was a store
            shutil.copytree(workspace.STORE, scratch, dirs_exist_ok=True, copy_function=_copy_missing)
    if published:
        # The checkout's credentials (a workflow's token) are in its own configuration, not in the address.
        _mark()
        return "store: cloned"
    write(workspace.STORE / "README.md", README)
    write(workspace.STORE / ".gitignore", IGNORED)
    commit("A new store")
    return "store: created"


def _unlock() -> None:
    """Remove the locks of killed git processes, but wait for those that may be in use."""
    for lock in [*(workspace.STORE / ".git").glob("*.lock"), *(workspace.STORE / ".git" / "refs").glob("**/*.lock")]:
        with suppress(FileNotFoundError):
            while time.time() - lock.stat().st_mtime < STALE:
                time.sleep(0.2)
            lock.unlink()


def _copy_missing(source: str, copy: str) -> None:
    if not Path(copy).exists():
        shutil.copy2(source, copy)


def ready() -> None:
    """Create the store if there is none: without its own checkout, git in that folder would commit the project's files."""
    if not (workspace.STORE / ".git").exists():
        pull()


def commit(message: str) -> bool:
    """Commit everything in .store/ but files that are too large to be pushed. Return False if nothing has changed.

    One such file in the history would have the remote refuse every later push.
    """
    ready()
    _unlock()
    _, left = _changes()
    if left:
        git("rm", "--quiet", "--cached", "--ignore-unmatch", "--", *left, cwd=workspace.STORE)
    git("add", "--all", "--", ".", *[f":(exclude,literal){name}" for name in left], cwd=workspace.STORE)
    if not run("diff", "--cached", "--quiet", cwd=workspace.STORE).returncode:
        return False
    git(*IDENTITY, "commit", "--quiet", "--message", message, cwd=workspace.STORE)
    return True


def _changes() -> tuple[list[str], list[str]]:
    """Return the changed files that can be pushed, and those that cannot. Raise `Failure` if one grew too large in place."""
    listed = run("status", "--porcelain", "-z", "--untracked-files=all", "--no-renames", cwd=workspace.STORE).stdout
    states = {entry[3:]: entry[:2] for entry in listed.split("\0") if entry}
    left = large_files.unstorable(workspace.STORE, states)
    if grown := [workspace.STORE / name for name in left if "M" in states[name] and "A" not in states[name]]:
        raise Failure(f"{large_files.describe(grown)}; {large_files.VERSIONS}")
    return [name for name in states if name not in left], left


def ahead() -> bool:
    """Return whether this machine holds records that were never pushed."""
    pushed = git("rev-parse", "--verify", "--quiet", PUSHED, cwd=workspace.STORE, check=False)
    changed, _ = _changes()
    return not (
        not changed and pushed == git("rev-parse", "--verify", "--quiet", "HEAD", cwd=workspace.STORE, check=False)
    )


def push(message: str, redo: Callable[[], object] | None = None) -> str:
    """Commit and push. A writer that loses the race rebases, or calls `redo` on the newer store if that conflicts.

    Raise `Failure` if the remote refuses for another reason, or after TRIES attempts; the commit is kept.
    """
    commit(message)
    if not remote():
        return "store: kept on this machine, because there is no remote"
    _shed(message)

    def attempt() -> None:
        refusal = _push()
        if lost_store.REFUSAL in refusal and not github.inside():
            _cut(message)
            refusal = _push()
        if not refusal:
            return
        text = f"the store could not be pushed: {refusal}; it is kept in {workspace.STORE}, push again later"
        if "exceeds" in refusal:
            text += f" with {large_files.VARIABLE} set to this limit, which leaves such files out"
        if lost_store.REFUSAL in refusal:
            text = f"the branch {branch()} is gone, and what this command has recorded is not kept; {lost_store.ADVICE}"
        if not any(word in refusal for word in LOST_RACE):
            raise Failure(text)
        git("fetch", "--quiet", "origin", branch(), cwd=workspace.STORE)
        known = git("rev-parse", "--verify", "--quiet", PUSHED, cwd=workspace.STORE, check=False)
        git("update-ref", PUSHED, "FETCH_HEAD", cwd=workspace.STORE)
        _replay(message, redo, known)
        raise LostRace(text)

    retries.call(attempt, attempts=TRIES, worth=lambda error: isinstance(error, LostRace), jitter=0.2)
    _mark()
    return "store: pushed"


def _cut(message: str) -> None:
    """Make one commit of all files, without the older ones, which this clone does not have."""
    alone = git(*IDENTITY, "commit-tree", "HEAD^{tree}", "-m", message, cwd=workspace.STORE)
    git("reset", "--quiet", "--soft", alone, cwd=workspace.STORE)


def _shed(message: str) -> None:
    """Make one commit of those that were never pushed if a file in them is too large to be pushed.

    An earlier version of this module committed such files, and the remote refuses the history even if they are gone.
    """
    base = git("merge-base", "HEAD", PUSHED, cwd=workspace.STORE, check=False)
    if not large_files.committed(workspace.STORE, base):
        return
    if base:
        git("reset", "--quiet", base, cwd=workspace.STORE)
    else:
        git("update-ref", "-d", "HEAD", cwd=workspace.STORE)
        git("read-tree", "--empty", cwd=workspace.STORE)
    commit(message)


def _push() -> str:
    """Push and return git's reason for refusing, or an empty string."""
    completed = run("push", "--porcelain", "origin", f"HEAD:{branch()}", cwd=workspace.STORE)
    if not completed.returncode:
        return ""
    lines = (completed.stdout + completed.stderr).splitlines()
    reasons = [" ".join(line.split()) for line in lines if line.startswith(("!", "fatal", "remote", "error"))]
    exceeding = [line for line in reasons if "exceeds" in line]  # GitHub's lines before it say less
    return "; ".join((exceeding or reasons)[:3]) or "git push failed"


def _replay(message: str, redo: Callable[[], object] | None, known: str) -> None:
    """Rebase the commits after `known` on what was fetched, or if that conflicts call `redo` on it.

    The remote had `known`, but its history may have been replaced since. Raise `Failure` if there is no `redo`.
    """
    try:
        git(*IDENTITY, "rebase", "--quiet", "--onto", "FETCH_HEAD", known or "FETCH_HEAD", cwd=workspace.STORE)
    except Failure:
        git("rebase", "--abort", cwd=workspace.STORE, check=False)
        if redo is None:
            raise Failure(
                f"the registry was changed by another writer meanwhile; move {workspace.STORE} away and register the model again"
            ) from None
        own_commit = git("rev-parse", "HEAD", cwd=workspace.STORE)
        git("reset", "--quiet", "--hard", "FETCH_HEAD", cwd=workspace.STORE)
        # Objects are named by their content, so those of both sides can be kept.
        run("checkout", "--quiet", own_commit, "--", "dvc", cwd=workspace.STORE)
        redo()
        commit(message)


def _mark() -> None:
    """Record the commit that the remote has, so that `pull` never discards what was not pushed."""
    git("update-ref", PUSHED, "HEAD", cwd=workspace.STORE)
