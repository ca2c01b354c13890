"""What the answers in git's place have in common: repositories, revisions, plain names, and what only git itself answers."""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pygit2
from pygit2.enums import RepositoryOpenFlag

SHA = re.compile(r"[0-9a-f]{40}")
PLAIN = re.compile(
    r"[\w./-]+", re.ASCII
)  # names that git does not quote, without characters that mean something in a pattern
REVISION = re.compile(r"(.+?)(\^\{commit\}|\^\{tree\}|\^)?")


class Unknown(Exception):
    """A question that only git answers."""


class Asked(NamedTuple):
    """A command after `git` and its name, where it runs, with which settings (`-c`), variables and standard input."""

    words: list[str]
    folder: Path
    settings: Mapping[str, str]
    variables: Mapping[str, str]
    text: str


def opened(folder: Path) -> pygit2.Repository:
    """The repository whose top folder this is, or that is this folder."""
    at = os.path.join(folder, ".git")
    return pygit2.Repository(at if os.path.exists(at) else str(folder), RepositoryOpenFlag.NO_SEARCH)


def top(folder: Path) -> pygit2.Repository:
    """The repository whose top folder this is."""
    if not (folder / ".git" / "HEAD").exists():
        raise Unknown
    return opened(folder)


def plain(*names: str) -> None:
    if not all(PLAIN.fullmatch(name) for name in names):
        raise Unknown


def named_object(repository: pygit2.Repository, revision: str) -> pygit2.Object | pygit2.Commit:
    """What a revision names: a ref, an object's whole name, its commit, tree or first parent."""
    found = REVISION.fullmatch(revision)
    if found is None or not PLAIN.fullmatch(found[1]) or ".." in found[1]:
        raise Unknown
    name, peel = found[1], found[2]
    if name == "FETCH_HEAD":
        name = (Path(repository.path) / name).read_text()[:40]
        if not SHA.fullmatch(name):
            raise Unknown
    elif name.endswith("_HEAD"):
        raise Unknown
    named = repository.revparse_single(name)
    if peel == "^{commit}":
        return named.peel(pygit2.Commit)
    if peel == "^{tree}":
        return named.peel(pygit2.Tree)
    return named.peel(pygit2.Commit).parents[0] if peel else named


def commit(repository: pygit2.Repository, revision: str) -> pygit2.Commit:
    return named_object(repository, revision).peel(pygit2.Commit)


def tree(repository: pygit2.Repository, revision: str) -> pygit2.Tree:
    return named_object(repository, revision).peel(pygit2.Tree)


def refs(repository: pygit2.Repository, *prefixes: str) -> Iterator[tuple[str, pygit2.Oid]]:
    """Every ref below the prefixes with what it names, in git's order."""
    names = [name for name in repository.references if name.startswith(prefixes)]
    for name in sorted(names, key=str.encode):
        target = repository.references[name].target
        if isinstance(target, str):
            raise Unknown  # a symbolic one
        yield name, target


def split(words: list[str], known: set[str]) -> tuple[set[str], list[str]]:
    """The options, all of which have to be known, and the other words. `--` is left out: what follows is no option."""
    end = words.index("--") if "--" in words else len(words)
    options = {word for word in words[:end] if word.startswith("-")}
    if not options <= known:
        raise Unknown
    return options, [word for word in words[:end] if word not in options] + words[end + 1 :]


def local(url: str | None) -> Path:
    """The folder of a remote on this machine."""
    folder = Path(url or "")
    if not folder.is_absolute() or not (folder / "HEAD").exists():
        raise Unknown
    return folder


def within(name: str, paths: list[str]) -> bool:
    """Whether a path is one of these or below one; none means all."""
    return not paths or any(path in (".", name) or name.startswith(f"{path}/") for path in paths)


def below(folder: Path, name: str) -> Path:
    return Path(os.path.normpath(folder / name))
