"""Git's answers to questions about refs and objects, read in this process by libgit2: a process of git takes 4 ms.

Only forms that the simulation asks often, only of repositories on this machine, and nothing that git refuses: all else is
git's own. `test_reading` asks git the same questions in a simulation and compares each answer.
"""

import fnmatch
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pygit2

SHA = re.compile(r"[0-9a-f]{40}")
PLAIN = re.compile(r"[\w./-]+")  # names that git does not quote, without characters that mean something in a pattern
LINE = {"%(refname) %(objectname)": "{0} {1}", "%(objectname) %(refname)": "{1} {0}"}
GITLINK = pygit2.enums.FileMode.COMMIT


class Unknown(Exception):
    """A question that only git answers."""


def answer(words: list[str], folder: Path) -> tuple[int, str] | None:
    """Return the exit code and the output of `git words` in this folder, or None if git itself has to be asked."""
    question = FORMS.get(words[0]) if words else None
    if question is None:
        return None
    try:
        found = question(words[1:], folder)
    except (Unknown, KeyError, ValueError, OSError, pygit2.GitError):
        return None
    if isinstance(found, bool):
        return int(not found), ""
    return None if "\r" in found else (0, found)  # both readers of git's output translate line ends


def _open(folder: Path) -> pygit2.Repository:
    """The repository whose top folder this is, or that is this folder."""
    inner = folder / ".git"
    return pygit2.Repository(str(inner if inner.exists() else folder), pygit2.enums.RepositoryOpenFlag.NO_SEARCH)


def _revision(words: list[str], folder: Path) -> str:
    options = [word for word in words if word.startswith("-")]
    rest = [word for word in words if not word.startswith("-")]
    if len(rest) != 1 or set(options) - {"--verify", "--quiet"}:
        raise Unknown
    return f"{_object(_open(folder), rest[0]).id}\n"


def _object(repository: pygit2.Repository, revision: str) -> pygit2.Object | pygit2.Commit:
    name, peel, _ = revision.partition("^{commit}")
    if not PLAIN.fullmatch(name) or ".." in name or name.endswith("_HEAD"):
        raise Unknown
    found = repository.revparse_single(name)
    if peel:
        return found.peel(pygit2.Commit)
    return found


def _refs(words: list[str], folder: Path) -> str:
    form = LINE.get(words[0].removeprefix("--format="))
    if form is None or not set(words[1:]) <= {"refs/heads", "refs/tags"}:
        raise Unknown
    found = _listed(_open(folder), tuple(f"{word}/" for word in words[1:]))
    return "".join(f"{form.format(name, target)}\n" for name, target in found)


def _listed(repository: pygit2.Repository, prefixes: tuple[str, ...]) -> Iterator[tuple[str, pygit2.Oid]]:
    """Every ref below the prefixes with what it names, in git's order."""
    names = [name for name in repository.references if name.startswith(prefixes)]
    for name in sorted(names, key=str.encode):
        target = repository.references[name].target
        if isinstance(target, str):
            raise Unknown  # a symbolic one
        yield name, target


def _show(words: list[str], folder: Path) -> str:
    (name,) = words
    revision, colon, path = name.partition(":")
    if path.startswith("./"):
        if not (folder / ".git").exists():
            raise Unknown  # below the top
        path = path[2:]
    if not colon or not path:
        raise Unknown
    repository = _open(folder)
    found = _tree(repository, revision)[path]
    if not isinstance(found, pygit2.Blob):
        raise Unknown
    return found.data.decode()


def _tree(repository: pygit2.Repository, revision: str) -> pygit2.Tree:
    return _object(repository, revision).peel(pygit2.Tree)


def _list_tree(words: list[str], folder: Path) -> str:
    options = [word for word in words if word.startswith("-") and word != "--"]
    revision, *paths = [word for word in words if not word.startswith("-")]
    if set(options) - {"-r", "--name-only"} or len(paths) > 1:
        raise Unknown
    repository = _open(folder)
    tree = _tree(repository, revision)
    if paths:
        path = paths[0].rstrip("/")
        if path not in tree:
            return ""
        found = tree[path]
        if isinstance(found, pygit2.Tree) and ("-r" in options or paths[0].endswith("/")):
            entries = _walked(found, f"{path}/", deep="-r" in options)
        else:
            entries = iter([(path, found)])
    else:
        entries = _walked(tree, "", deep="-r" in options)
    lines = []
    for path, entry in entries:
        if not PLAIN.fullmatch(path) or entry.filemode == GITLINK:
            raise Unknown
        about = f"{entry.filemode:06o} {entry.type_str} {entry.id}\t"
        lines.append(f"{'' if '--name-only' in options else about}{path}\n")
    return "".join(lines)


def _walked(tree: pygit2.Tree, prefix: str, *, deep: bool) -> Iterator[tuple[str, pygit2.Object]]:
    for entry in tree:
        if deep and isinstance(entry, pygit2.Tree):
            yield from _walked(entry, f"{prefix}{entry.name}/", deep=True)
        else:
            yield f"{prefix}{entry.name}", entry


def _base(words: list[str], folder: Path) -> str | bool:
    ancestor = words[0] == "--is-ancestor"
    one, other = words[1:] if ancestor else words
    repository = _open(folder)
    commits = [_object(repository, name).peel(pygit2.Commit).id for name in (one, other)]
    base = repository.merge_base(*commits)
    if ancestor:
        return base == commits[0]
    return False if base is None else f"{base}\n"


def _remote(words: list[str], folder: Path) -> str:
    name, pattern = words
    repository = _open(folder)
    at = Path(repository.remotes[name].url or "")
    if not at.is_absolute() or not pattern.startswith("refs/") or not PLAIN.fullmatch(pattern.replace("*", "")):
        raise Unknown
    found = _listed(_open(at), ("refs/",))
    return "".join(f"{target}\t{ref}\n" for ref, target in found if fnmatch.fnmatchcase(f"/{ref}", f"*/{pattern}"))


def _point(words: list[str], folder: Path) -> str:
    """A ref that has no log."""
    ref, revision = words
    if not ref.startswith("refs/delivery/"):
        raise Unknown
    repository = _open(folder)
    repository.references.create(ref, _object(repository, revision).id, force=True)
    return ""


def _difference(words: list[str], folder: Path) -> bool:
    """Whether nothing is staged."""
    if words != ["--cached", "--quiet"]:
        raise Unknown
    repository = _open(folder)
    return not len(repository.index.diff_to_tree(_tree(repository, "HEAD")))


FORMS: dict[str, Callable[[list[str], Path], str | bool]] = {
    "diff": _difference,
    "rev-parse": _revision,
    "for-each-ref": _refs,
    "show": _show,
    "ls-tree": _list_tree,
    "merge-base": _base,
    "ls-remote": _remote,
    "update-ref": _point,
}
