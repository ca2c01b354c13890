"""A store whose branch was deleted: no workflow begins an empty one in its place, which would hide all records."""

from delivery.adapters import git, github
from delivery.core.errors import Failure

REFUSAL = "shallow update not allowed"  # git's, to a push from a store without its older commits
ADVICE = "restore it before anything else runs, as docs/how-to/audit.md says under `Restore the store`"


def tag_prefix() -> str:
    """Return what the names of this model's tags start with, of which each records a version."""
    return f"model{git.suffix()}-"


def refuse(branch: str) -> None:
    """Raise `Failure` in a workflow if the remote has no such branch, but records of versions that it held."""
    if not github.inside():
        return
    tags = git.git("ls-remote", "--refs", "origin", f"refs/tags/{tag_prefix()}[0-9]*").split("\n")
    if newest := tags[-1].rpartition("refs/tags/")[2]:
        raise Failure(f"the branch {branch} is gone, though the tag {newest} records a version that it held; {ADVICE}")
