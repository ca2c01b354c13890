"""The winner of a search as a pull request that changes nothing but `train` in params.yaml."""

import difflib
import hashlib
from typing import Any

from delivery.adapters import git, github
from delivery.core import files, workspace
from delivery.core.errors import Failure
from delivery.core.params import read
from delivery.core.params_file import edited
from delivery.pull_requests import proposal
from delivery.pull_requests.proposal import SEARCH
from delivery.search.verdict import page, said, sentence


def propose(result: dict[str, Any]) -> str:
    """A pull request that changes nothing but `train` in params.yaml, or how to make one by hand."""
    values = result["best"]
    text = read()
    wanted = edited(text, "train", values)
    title = f"Settings from a model search: {said(values)}"
    branch = hashlib.sha256(said(values).encode()).hexdigest()[:8]
    if not github.armed():
        return by_hand(text, wanted, title, branch)
    base = git.git("branch", "--show-current")
    if not base or proposal.remote_head(base) != git.head():
        raise Failure("check out the branch that the pull request is for, as the remote has it, and run this again")
    if git.git("status", "--porcelain", "--untracked-files=no"):
        raise Failure("there are changes that are not committed; commit or stash them, and run this again")

    def make(_: str) -> str:
        files.write(workspace.PARAMS, wanted)
        return f"{page(result)}\n\nThe gate judges this on the test rows, as it does every change.\n"

    try:
        return proposal.offer(SEARCH, branch, title, f"A search found: {sentence(result)}", make)[0]
    finally:
        git.git("checkout", "--quiet", "--force", base)  # nothing but params.yaml differs


def by_hand(text: str, wanted: str, title: str, branch: str) -> str:
    """The change and the commands, where there is no token to ask GitHub with."""
    name = workspace.PARAMS.name
    change = difflib.unified_diff(text.splitlines(), wanted.splitlines(), f"a/{name}", f"b/{name}", lineterm="")
    lines = [
        f"no token of GitHub, so nothing is opened: {github.OWN_TOKEN}, or make this change, then:",
        "",
        *change,
        "",
    ]
    lines += [f"git checkout -b {SEARCH.prefix}{branch}", f"git commit --message '{title}' {name}"]
    lines += ["git push --set-upstream origin HEAD", "gh pr create --fill"]
    return "\n".join(lines)
