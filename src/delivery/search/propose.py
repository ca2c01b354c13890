"""Propose the winner of a search in a pull request that changes nothing but `train` in params.yaml."""

import difflib
import hashlib

from delivery.adapters import git, github
from delivery.core import files, workspace
from delivery.core.errors import Failure
from delivery.core.params import read
from delivery.core.params_file import edited
from delivery.pull_requests import proposal
from delivery.pull_requests.proposal import SEARCH
from delivery.search.verdict import SearchResult, in_words, page, sentence


def propose(result: SearchResult) -> str:
    """Open the pull request and return its address, or without a token the commands that open it.

    Raise `Failure` if changes are uncommitted, or if the branch is not as the remote has it.
    """
    values = result.best
    text = read()
    wanted = edited(text, "train", values)
    title = f"Settings from a model search: {in_words(values)}"
    branch = hashlib.sha256(in_words(values).encode()).hexdigest()[:8]
    if not github.armed():
        return by_hand(text, wanted, title, branch)
    base = git.git("branch", "--show-current")
    if not base or proposal.remote_head(base) != git.head():
        raise Failure("check out the branch that the pull request is for, as the remote has it, and run this again")
    if git.git("status", "--porcelain", "--untracked-files=no"):
        raise Failure("there are changes that are not committed; commit or stash them, and run this again")

    def make(_: str) -> str:
        files.write(workspace.PARAMS, wanted)
        return f"{page(result)}\n\nThe gate judges this on the test rows, as every change.\n"

    try:
        return proposal.offer(SEARCH, branch, title, f"A search found: {sentence(result)}", make)[0]
    finally:
        git.git("checkout", "--quiet", "--force", base)  # nothing but params.yaml differs


def by_hand(text: str, wanted: str, title: str, branch: str) -> str:
    """Return the change and the commands that open the pull request, for a machine without a token."""
    name = workspace.PARAMS.name
    change = difflib.unified_diff(text.splitlines(), wanted.splitlines(), f"a/{name}", f"b/{name}", lineterm="")
    lines = [
        f"no GitHub token, so no pull request is opened: {github.OWN_TOKEN}, or make this change, then:",
        "",
        *change,
        "",
    ]
    lines += [f"git checkout -b {SEARCH.prefix}{branch}", f"git commit --message '{title}' {name}"]
    lines += ["git push --set-upstream origin HEAD", "gh pr create --fill"]
    return "\n".join(lines)
