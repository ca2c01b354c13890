"""The store: an orphan branch of this repository, checked out at .store/, that keeps what git does not.

`dvc/` is the DVC remote, whose names are digests, so two writers never conflict; `mlflow/` is the
registry's database and artifacts, one writer at a time: who comes second does his change again.
"""

import argparse
import random
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from delivery.adapters import github
from delivery.adapters.git import git, reason, remote, run, suffix
from delivery.core import workspace
from delivery.core.errors import Failure
from delivery.core.files import replacing, write

NAMED = "store"
TRIES = 6
# What git says to who comes second; a hook or a protection says "[remote rejected]" and means it.
SECOND = ("[rejected]", "cannot lock", "failed to update ref", "incorrect old value")
README = """# Store

Written by `delivery`; do not edit by hand. `dvc/` holds data and models by digest, `mlflow/` the
registry: `mlflow server --backend-store-uri sqlite:///mlflow/mlflow.db
--artifacts-destination ./mlflow/artifacts` shows it.
"""
IGNORED = ".*.scratch/\n.*.tmp\n"  # what a process that was killed leaves, ours and DVC's
STALE = 10  # seconds; no git command on the store takes as long
# GitHub's own bot: another no-reply address may belong to a stranger's account.
NAME, EMAIL = "github-actions[bot]", "41898282+github-actions[bot]@users.noreply.github.com"
IDENTITY = ("-c", f"user.name={NAME}", "-c", f"user.email={EMAIL}", "-c", "commit.gpgsign=false")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("pull", "push"))


def main(options: argparse.Namespace) -> None:
    print(pull() if options.action == "pull" else push("push by hand"))


def branch() -> str:
    """Of this folder's model: `store`, in a repository of several `store-models-digits`."""
    return NAMED + suffix()


def pull() -> str:
    """Makes .store/ the newest store that can be had: the remote's branch, or a new and empty one."""
    _unlock()
    url = remote()
    asked = run("ls-remote", "origin", f"refs/heads/{branch()}") if url else None
    if asked and asked.returncode:
        return _unanswered(reason(asked))
    there = bool(asked and asked.stdout)
    if not (workspace.STORE / ".git").exists():
        return _clone(url or "", there)
    if not there:
        return "store: local only; `delivery store push` makes the branch" if url else "store: local only"
    git("fetch", "--quiet", "--depth", "1", "origin", branch(), cwd=workspace.STORE)
    if git("rev-parse", "HEAD", cwd=workspace.STORE, check=False) == git(
        "rev-parse", "FETCH_HEAD", cwd=workspace.STORE
    ):
        return "store: up to date"
    if ahead():
        return "store: this machine has records that the remote has not; push them or delete .store/"
    git("reset", "--quiet", "--hard", "FETCH_HEAD", cwd=workspace.STORE)
    _mark()
    return "store: updated"


def _unanswered(reason: str) -> str:
    """A laptop without a network goes on with what it has; a workflow does not, it would miss the champion.

    Raises Failure in a workflow where there is no store yet.
    """
    if (workspace.STORE / ".git").exists():
        return f"store: the remote does not answer ({reason}); what is here is used"
    if github.inside():
        raise Failure(f"the remote does not answer ({reason}), so the store cannot be had; run the job again")
    _clone(remote() or "", there=False)
    return f"store: the remote does not answer ({reason}); a new one on this machine, which knows no champion"


def _clone(url: str, there: bool) -> str:
    with replacing(workspace.STORE) as scratch:
        if there:
            git("clone", "--quiet", "--depth", "1", "--single-branch", "--branch", branch(), url, str(scratch))
        else:
            git("init", "--quiet", "--initial-branch", branch(), str(scratch))
            if url:
                git("remote", "add", "origin", str(Path(url).resolve()) if Path(url).exists() else url, cwd=scratch)
        if workspace.STORE.is_dir():  # DVC or the registry wrote before there was a store
            shutil.copytree(workspace.STORE, scratch, dirs_exist_ok=True, copy_function=_unless_there)
    if there:
        # The checkout's credentials (a workflow's token) are in its own configuration, not in the address.
        _mark()
        return "store: cloned"
    write(workspace.STORE / "README.md", README)
    write(workspace.STORE / ".gitignore", IGNORED)
    commit("A new store")
    return "store: created"


def _unlock() -> None:
    """Removes the locks that a killed git has left; one that is in use is gone after a moment."""
    for lock in [*(workspace.STORE / ".git").glob("*.lock"), *(workspace.STORE / ".git" / "refs").glob("**/*.lock")]:
        with suppress(FileNotFoundError):
            while time.time() - lock.stat().st_mtime < STALE:
                time.sleep(0.2)
            lock.unlink()


def _unless_there(source: str, copy: str) -> None:
    if not Path(copy).exists():
        shutil.copy2(source, copy)


def ready() -> None:
    """A store to write to: without a checkout of its own, git in that folder would commit the project's files."""
    if not (workspace.STORE / ".git").exists():
        pull()


def commit(message: str) -> bool:
    """Everything in .store/ as one commit; False when nothing has changed."""
    ready()
    _unlock()
    git("add", "--all", cwd=workspace.STORE)
    if not git("status", "--porcelain", cwd=workspace.STORE):
        return False
    git(*IDENTITY, "commit", "--quiet", "--message", message, cwd=workspace.STORE)
    return True


def ahead() -> bool:
    """Whether this machine holds records that were never pushed."""
    pushed = git("rev-parse", "--verify", "--quiet", "refs/delivery/pushed", cwd=workspace.STORE, check=False)
    clean = not git("status", "--porcelain", cwd=workspace.STORE)
    return not (clean and pushed == git("rev-parse", "--verify", "--quiet", "HEAD", cwd=workspace.STORE, check=False))


def push(message: str, redo: Callable[[], object] | None = None) -> str:
    """Commits and pushes; who comes second rebases, and where that conflicts does `redo` on the newer store.

    Raises Failure when the remote refuses for another reason, or after TRIES times; the commit is kept.
    """
    commit(message)
    if not remote():
        return "store: kept on this machine, there is no remote"
    for attempt in range(TRIES):
        refused = _push()
        if not refused:
            _mark()
            return "store: pushed"
        if not any(word in refused for word in SECOND):
            break
        git("fetch", "--quiet", "origin", branch(), cwd=workspace.STORE)
        _replay(message, redo)
        time.sleep(random.uniform(0, 0.2 * 2**attempt))  # noqa: S311  # two that met once should not meet again
    raise Failure(f"the store could not be pushed: {refused}; it is kept in {workspace.STORE}, push again later")


def _push() -> str:
    """git's reason for refusing, or nothing."""
    done = run("push", "--porcelain", "origin", f"HEAD:{branch()}", cwd=workspace.STORE)
    if not done.returncode:
        return ""
    said = (done.stdout + done.stderr).splitlines()
    told = [" ".join(line.split()) for line in said if line.startswith(("!", "fatal", "remote", "error"))]
    return "; ".join(told[:3]) or "git push failed"


def _replay(message: str, redo: Callable[[], object] | None) -> None:
    try:
        git(*IDENTITY, "rebase", "--quiet", "FETCH_HEAD", cwd=workspace.STORE)
    except Failure:
        git("rebase", "--abort", cwd=workspace.STORE, check=False)
        if redo is None:
            raise Failure(
                f"the registry was changed by someone else meanwhile; move {workspace.STORE} away and register the model again"
            ) from None
        mine = git("rev-parse", "HEAD", cwd=workspace.STORE)
        git("reset", "--quiet", "--hard", "FETCH_HEAD", cwd=workspace.STORE)
        run("checkout", "--quiet", mine, "--", "dvc", cwd=workspace.STORE)  # named by content: both sides' are kept
        redo()
        commit(message)


def _mark() -> None:
    """Remembers what the remote has, so that `pull` never throws away what was not pushed."""
    git("update-ref", "refs/delivery/pushed", "HEAD", cwd=workspace.STORE)
