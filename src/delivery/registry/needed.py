"""Which of DVC's objects and of the plots in the store somebody may still ask for.

The others can be made again: a commit's data come from the source, its model from the pipeline.
"""

import time
from collections.abc import Iterable
from pathlib import Path

from msgspec import Struct

from delivery.adapters import dvc, git, github, store
from delivery.core import params, workspace
from delivery.core.errors import Failure
from delivery.registry import registry, stored

GRACE = 3  # days for which what is new is left alone: its branch may name it a moment later
DAY = 86_400  # seconds
LISTED = (str(workspace.DVC_LOCK), str(workspace.DATA_FILE))
BRANCHES = "refs/remotes/origin/"


class Live(Struct, frozen=True):
    """The branches that somebody works on or delivers from, and the commits whose data and model are kept for them."""

    branches: frozenset[str]
    heads: frozenset[str]
    """Newest commits of these branches, and of every open pull request."""
    commits: frozenset[str]


def live(days: int) -> Live:
    """Return what is live, by the remote's branches and GitHub's open pull requests.

    Without a token no pull request is known, and every branch counts. Raise `Failure` in a checkout without history.
    """
    if git.git("rev-parse", "--is-shallow-repository") == "true":
        raise Failure("this checkout has no history; run `git fetch --unshallow` first")
    stores = f"^refs/heads/{store.NAMED}", f"^refs/heads/{store.NAMED}-*"
    git.git("fetch", "--quiet", "--prune", "origin", f"+refs/heads/*:{BRANCHES}*", *stores)
    pulls = github.pages("/pulls") if github.armed() else []
    lasting = {*params.load().promote.branches, git.git("rev-parse", "--abbrev-ref", "HEAD")}
    open_heads = {pull["head"]["ref"] for pull in pulls}
    tips = {}
    for line in git.git(
        "for-each-ref", "--format=%(refname) %(objectname) %(committerdate:unix)", BRANCHES
    ).splitlines():
        name, commit, moment = line.removeprefix(BRANCHES).split()
        recent = time.time() - int(moment) < GRACE * DAY
        if name in lasting or name in open_heads or recent or not github.armed():
            tips[name] = commit
    return Live(
        branches=frozenset(tips),
        heads=frozenset({*tips.values(), *(pull["head"]["sha"] for pull in pulls)}),
        commits=frozenset(_commits(tips, lasting & tips.keys(), days)),
    )


def _commits(tips: dict[str, str], lasting: Iterable[str], days: int) -> set[str]:
    """Return the branches' newest commits, those they started from, and those of the lasting branches of the last days."""
    commits = set(tips.values())
    for name in lasting:
        commits |= set(git.git("log", f"--since={days}.days", "--format=%H", tips[name], "--", *LISTED).split())
        commits |= {git.git("merge-base", tips[name], tip, check=False) for tip in tips.values()} - {""}
    return commits


def objects(alive: Live, recent: set[str]) -> set[Path]:
    """Return DVC's objects in the store that a live commit or a version with its files names, or that are new."""
    texts = [git.show(commit, name) or "" for commit in alive.commits for name in LISTED]
    if registry.address() is None and registry.exists():
        kept = [stored.folder(version.source) for version in registry.versions() if not version.pruned]
        texts += [(folder / name).read_text() for folder in kept for name in LISTED if (folder / name).is_file()]
    digests = dvc.with_contents(digest for text in texts for digest in dvc.named(text))
    return {workspace.DVC_OBJECTS / digest[:2] / digest[2:] for digest in digests} | _paths(recent)


def plots(alive: Live, recent: set[str]) -> set[Path]:
    """Return the plots in the store that an open pull request or a live branch may show, or that are new."""
    keys = {*alive.heads, *(branch.replace("/", "-") for branch in alive.branches)}
    folders = [path for path in workspace.PLOTS_KEPT.glob("*") if {path.name, path.name[:40]} & keys]
    return {path for folder in folders for path in folder.rglob("*")} | _paths(recent)


def _paths(names: Iterable[str]) -> set[Path]:
    return {workspace.STORE / name for name in names}
