"""The few questions that are put to git."""

from pathlib import Path

from delivery.core import ownership, programs
from delivery.core.errors import Failure


def git(*words: str, cwd: Path | None = None, check: bool = True) -> str:
    """Output of a git command. Raises Failure with git's own reason."""
    done = run(*words, cwd=cwd)
    if check and done.returncode:
        raise Failure(f"git {' '.join(words[:2])}: {reason(done)}")
    return done.stdout.strip()


def reason(done: programs.Completed) -> str:
    """The line that names the cause; after it git may go on with advice."""
    lines = (done.stderr.strip() or done.stdout.strip() or "no word").splitlines()
    return next((line for line in lines if line.startswith(("fatal: ", "error: "))), lines[-1])


def run(*words: str, cwd: Path | None = None) -> programs.Completed:
    """Run a git command and return it, whatever its exit code; its messages are in English, its times in UTC."""
    return programs.run(["git", *words], cwd=cwd, env={"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C", "TZ": "UTC"})


def head() -> str | None:
    """The commit that is checked out, if there is a commit yet."""
    return git("rev-parse", "--verify", "--quiet", "HEAD", check=False) or None


def changed() -> list[str]:
    """Return the recorded paths (`core.ownership`) that differ from the last commit."""
    # With -z a path with spaces or accents comes as it is; without renames an entry is one path. What is staged as
    # deleted and there again has two.
    entries = run("status", "--porcelain", "--no-renames", "-z", "--", *ownership.RECORDED).stdout.split("\0")
    return list(dict.fromkeys(entry[3:] for entry in entries if entry))


def show(revision: str, path: str) -> str | None:
    """A file of this folder as of a revision, or None where there is none."""
    return git("show", f"{revision}:./{path}", check=False) or None


def inside() -> Path:
    """This folder within its repository: `models/digits` where that has several models, else `.`"""
    return Path(git("rev-parse", "--show-prefix", check=False))


def suffix() -> str:
    """What tells this model's names on GitHub from those of others in the repository: `-models-digits`, mostly nothing."""
    return "".join(f"-{part}" for part in inside().parts)


def resolve(revision: str) -> str:
    """Raises Failure when the revision is not a commit of this repository."""
    commit = git("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}", check=False)
    if not commit:
        raise Failure(f"{revision} is no commit here; fetch it, or name another with --base")
    return commit


def remote() -> str | None:
    return git("config", "--get", "remote.origin.url", check=False) or None


def committed(commit: str) -> str:
    """When a commit was made, in UTC; nothing where it is not known here."""
    return git("log", "-1", "--date=format-local:%Y-%m-%dT%H:%M:%S+00:00", "--format=%cd", commit, check=False)


def precedes(commit: str, later: str) -> bool:
    """Whether `later` has the commit among its ancestors."""
    return commit != later and run("merge-base", "--is-ancestor", commit, later).returncode == 0
