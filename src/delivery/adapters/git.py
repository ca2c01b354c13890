"""Git: run it, and ask it about commits and this folder."""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from delivery.core import ownership, programs
from delivery.core.errors import Failure


def git(*words: str, cwd: Path | None = None, check: bool = True, env: Mapping[str, str] | None = None) -> str:
    """Return the output of a git command. Raise `Failure` with git's own reason if `check` is set and it fails."""
    completed = run(*words, cwd=cwd, env=env)
    if check and completed.returncode:
        raise Failure(f"git {' '.join(words[:2])}: {reason(completed)}")
    return completed.stdout.strip()


def reason(completed: programs.Completed) -> str:
    """Return the line that names the cause; git may print advice after it."""
    lines = (completed.stderr.strip() or completed.stdout.strip() or "no message").splitlines()
    return next((line for line in lines if line.startswith(("fatal: ", "error: "))), lines[-1])


def run(
    *words: str, cwd: Path | None = None, seconds: float | None = None, env: Mapping[str, str] | None = None
) -> programs.Completed:
    """Run a git command and return it, whatever its exit code; its messages are in English, its times in UTC.

    Raise `Failure` if it takes more than `seconds`.
    """
    variables = {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C", "TZ": "UTC"}
    plain = ("-c", "core.quotePath=false")  # else names with accents are quoted where -z is not asked for
    return programs.run(["git", *plain, *words], cwd=cwd, env=variables | dict(env or {}), seconds=seconds)


def head() -> str | None:
    """Return the commit that is checked out, or None before the first commit."""
    return git("rev-parse", "--verify", "--quiet", "HEAD", check=False) or None


def changed() -> list[str]:
    """Return the recorded paths (`core.ownership`) that differ from the last commit."""
    # With -z git does not quote paths with spaces or accents; without renames an entry is one path. A file that is
    # staged as deleted and exists again has two entries.
    entries = run("status", "--porcelain", "--no-renames", "-z", "--", *ownership.RECORDED).stdout.split("\0")
    return list(dict.fromkeys(entry[3:] for entry in entries if entry))


def show(revision: str, path: str) -> str | None:
    """Return the content of a file of this folder as of a revision, or None if it does not exist there."""
    return git("show", f"{revision}:./{path}", check=False) or None


def archive(revision: str, paths: Sequence[str]) -> bytes:
    """Return a tar archive of these files and folders of this folder, as of a revision; paths that it lacks are left out.

    Raise `Failure` if this repository does not have the revision.
    """
    known = git("ls-tree", "--name-only", resolve(revision), "--", *paths).splitlines()
    command = ["git", "archive", "--format=tar", revision, "--", *known]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        raise Failure(f"git archive: {done.stderr.decode().strip()}")
    return done.stdout


def inside() -> Path:
    """Return this folder's path in its repository: `.`, or such as `models/digits` in a repository of several models."""
    return Path(git("rev-parse", "--show-prefix", check=False))


def suffix() -> str:
    """Return what distinguishes this model's names on GitHub: empty, or such as `-models-digits` with several models."""
    return "".join(f"-{part}" for part in inside().parts)


def resolve(revision: str) -> str:
    """Return the commit of a revision. Raise `Failure` if this repository does not have it."""
    commit = git("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}", check=False)
    if not commit:
        raise Failure(f"{revision} is not a commit of this repository; fetch it, or name another with --base")
    return commit


def remote() -> str | None:
    """Return the address of the remote `origin`, or None without one."""
    return git("config", "--get", "remote.origin.url", check=False) or None


def public_remote() -> str:
    """Return the address of `origin` without a user's name, password or token; empty without a remote.

    What is recorded with a version is read by more people than this checkout's configuration.
    """
    address = urlsplit(remote() or "")
    if not (address.scheme and address.netloc):
        return address.geturl()  # a path, or `git@host:owner/name`
    return urlunsplit((address.scheme, address.netloc.rpartition("@")[2], address.path, "", ""))


def committed(commit: str) -> str:
    """Return when a commit was made, in UTC; empty if this repository does not have it."""
    return git("log", "-1", "--date=format-local:%Y-%m-%dT%H:%M:%S+00:00", "--format=%cd", commit, check=False)


def precedes(commit: str, later: str) -> bool:
    """Return whether the commit is an ancestor of `later`, and not `later` itself."""
    return commit != later and run("merge-base", "--is-ancestor", commit, later).returncode == 0
