"""Clones, as a runner or a person makes them."""

from pathlib import Path

import pygit2
from harness import gitserver
from harness.hub import Repo
from pygit2.enums import CheckoutStrategy

CONFIG = """[core]
    repositoryformatversion = 0
    bare = false
[remote "origin"]
    url = {}
    fetch = +refs/heads/*:refs/remotes/origin/*
"""


def checkout(repo: Repo, folder: Path, sha: str, branch: str = "") -> None:
    """The repository at a commit, with the remote `origin`."""
    for name in ("objects/info", "refs/heads", "refs/tags"):
        (folder / ".git" / name).mkdir(parents=True)
    (folder / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
    (folder / ".git" / "config").write_text(CONFIG.format(repo.path))
    (folder / ".git" / "objects" / "info" / "alternates").write_text(f"{repo.path / 'objects'}\n")
    repository = pygit2.Repository(str(folder))
    commit = repository[sha]
    repository.checkout_tree(commit, strategy=CheckoutStrategy.FORCE)
    if branch:
        repository.references.create(f"refs/heads/{branch}", commit.id)
        repository.set_head(f"refs/heads/{branch}")
    else:
        repository.set_head(commit.id)


def fetch(repo: Repo, folder: Path) -> None:
    """All tags, and all branches but the store: as `git fetch` does it, but a clone has all objects already."""
    form = "--format=%(objectname) %(refname)"
    lines = gitserver.git(repo.path, "for-each-ref", form, "refs/heads", "refs/tags").splitlines()
    found = [
        line.replace(" refs/heads/", " refs/remotes/origin/")
        for line in lines
        if not line.endswith(" refs/heads/store")
    ]
    (folder / ".git" / "packed-refs").write_text("".join(f"{line}\n" for line in found))
