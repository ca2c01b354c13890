"""Git's answers to questions about commits: what they say, which there are, and what differs between them."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pygit2
from pygit2.enums import DeltaStatus, DiffOption, SortMode

from simulation import libgit
from simulation.libgit import Asked, Unknown

TRAILER = re.compile(r"%\(trailers:key=([\w-]+),valueonly\)")
LETTERS = {DeltaStatus.ADDED: "A", DeltaStatus.DELETED: "D", DeltaStatus.MODIFIED: "M"}
SHORT = {"--name-only", "--no-messages", "-z"}  # the form of merge-tree that lists conflicts only
DATE = "--date=format-local:%Y-%m-%dT%H:%M:%S+00:00"
FIELDS: dict[str, Callable[[pygit2.Commit], str]] = {
    "%T": lambda commit: str(commit.tree_id),
    "%P": lambda commit: " ".join(map(str, commit.parent_ids)),
    "%an": lambda commit: commit.author.name,
    "%ae": lambda commit: commit.author.email,
    "%cn": lambda commit: commit.committer.name,
    "%ce": lambda commit: commit.committer.email,
    "%s": lambda commit: _subject(commit.message),
}


def log(asked: Asked) -> str:
    """Of one commit."""
    count, *formats, revision = asked.words
    if count != "-1" or not formats or not formats[-1].startswith("--format="):
        raise Unknown
    commit = libgit.commit(libgit.opened(asked.folder), revision)
    if formats == [DATE, "--format=%cd"]:
        if asked.variables.get("TZ") != "UTC":
            raise Unknown
        return datetime.fromtimestamp(commit.commit_time, UTC).strftime("%Y-%m-%dT%H:%M:%S+00:00\n")
    if len(formats) > 1:
        raise Unknown
    return "\n".join(_field(part, commit) for part in formats[0].removeprefix("--format=").split("%n")) + "\n"


def _field(name: str, commit: pygit2.Commit) -> str:
    if found := TRAILER.fullmatch(name):
        return _trailers(found[1], commit.message)
    if name not in FIELDS or commit.message_encoding:
        raise Unknown
    return FIELDS[name](commit)


def _subject(message: str) -> str:
    first = message.lstrip("\n").partition("\n\n")[0]
    if "\n" in first.rstrip("\n") or first != first.strip(" "):
        raise Unknown  # of several lines
    return first.rstrip("\n")


def _trailers(key: str, message: str) -> str:
    """The values of a key: of a last paragraph that has no other lines, or none if no line begins with it."""
    if not re.search(rf"^\s*{re.escape(key)}", message, re.IGNORECASE | re.MULTILINE):
        return ""
    first, gap, last = message.rpartition("\n\n")
    lines = [re.fullmatch(rf"{re.escape(key)}: (\S+)", line) for line in last.removesuffix("\n").split("\n")]
    if not first.strip() or not gap or not all(lines):
        raise Unknown
    return "".join(f"{line[1]}\n" for line in lines if line)


def difference(asked: Asked) -> str | bool:
    """The names of what differs between commits, or whether nothing does, also of what is staged."""
    if asked.words == ["--cached", "--quiet"]:
        repository = libgit.top(asked.folder)
        return not len(repository.index.diff_to_tree(libgit.tree(repository, "HEAD")))
    before = asked.words.index("--") if "--" in asked.words else len(asked.words)
    options, revisions = libgit.split(asked.words[:before], {"--name-only", "--name-status", "--quiet", "--no-renames"})
    paths = asked.words[before + 1 :]
    libgit.plain(*paths)
    kinds = options - {"--no-renames"}
    if len(kinds) != 1:
        raise Unknown
    repository = libgit.opened(asked.folder)
    one, other = _sides(repository, revisions)
    found = [
        (LETTERS.get(delta.status, ""), delta.new_file.path)
        for delta in one.tree.diff_to_tree(other.tree, DiffOption.INCLUDE_TYPECHANGE).deltas
    ]
    letters = {letter for letter, _ in found}
    if "" in letters or ({"A", "D"} <= letters and "--no-renames" not in options):
        raise Unknown  # a file may have got another name
    found = [(letter, name) for letter, name in found if libgit.within(name, paths)]
    if kinds == {"--quiet"}:
        return not found
    libgit.plain(*(name for _, name in found))
    return "".join(f"{name}\n" if kinds == {"--name-only"} else f"{letter}\t{name}\n" for letter, name in found)


def _sides(repository: pygit2.Repository, revisions: list[str]) -> tuple[pygit2.Commit, pygit2.Commit]:
    """`A B`, `A..B`, or `A...B`: from what both have in common."""
    names, dots = revisions, ""
    if len(revisions) == 1 and (found := re.fullmatch(r"([^.].*?)(\.{2,3})([^.].*)", revisions[0])):
        names, dots = [found[1], found[3]], found[2]
    one, other = (libgit.commit(repository, name) for name in names)
    if dots != "...":
        return one, other
    return common(repository, one, other), other


def common(repository: pygit2.Repository, one: pygit2.Commit, other: pygit2.Commit) -> pygit2.Commit:
    """The one commit that both have in common; one that is not the only one is a question for git."""
    found = repository.merge_base(one.id, other.id)
    if found is None:
        raise Unknown
    ours, theirs = ({each.id for each in _after(repository, found, side.id)} for side in (one, other))
    if ours & theirs:
        raise Unknown
    return repository[found].peel(pygit2.Commit)


def base(asked: Asked) -> str | bool:
    ancestor = asked.words[0] == "--is-ancestor"
    one, other = asked.words[1:] if ancestor else asked.words
    repository = libgit.opened(asked.folder)
    commits = [libgit.commit(repository, name).id for name in (one, other)]
    found = repository.merge_base(*commits)
    if ancestor:
        return found == commits[0]
    return False if found is None else f"{found}\n"


def commits(asked: Asked) -> str:
    """Commits of a line without merges, or the first parents; and all objects that commits add."""
    words, repository = asked.words, libgit.opened(asked.folder)
    if words[0] == "--objects":
        return "".join(_objects(repository, words[1:]))
    options, revisions = libgit.split(words, {"--reverse", "--first-parent", "--merges"})
    if options == {"--first-parent"}:
        (revision,) = revisions
        found = list(_line(libgit.commit(repository, revision)))
    else:
        (between,) = revisions
        first, last = between.split("..")
        found = _between(repository, first, last)
        merges = [commit for commit in found if len(commit.parents) > 1]
        if options == {"--merges"} and len(merges) < 2:
            found = merges
        elif merges or options == {"--merges"}:
            raise Unknown  # their order depends on their time
    lines = [f"{commit.id}\n" for commit in found]
    return "".join(reversed(lines) if "--reverse" in options else lines)


def _line(commit: pygit2.Commit) -> Iterator[pygit2.Commit]:
    """The first parents, the newest first."""
    yield commit
    while commit.parents:
        commit = commit.parents[0]
        yield commit


def _between(repository: pygit2.Repository, first: str, last: str) -> list[pygit2.Commit]:
    return _after(repository, *(libgit.commit(repository, name).id for name in (first, last)))


def _after(repository: pygit2.Repository, first: pygit2.Oid, last: pygit2.Oid) -> list[pygit2.Commit]:
    """What the last commit has and the first has not."""
    if first == last:
        return []
    walker = repository.walk(last, SortMode.TOPOLOGICAL)
    walker.hide(first)
    return list(walker)


def _objects(repository: pygit2.Repository, words: list[str]) -> Iterator[str]:
    """The commits of a line after another one, and each tree and file that is new in them, with its path."""
    last, since = words
    if not since.startswith("^"):
        raise Unknown
    found = _between(repository, since[1:], last)
    if any(len(commit.parents) > 1 for commit in found):
        raise Unknown
    known: set[pygit2.Oid] = set()
    hidden = libgit.commit(repository, since[1:])
    if found and found[-1].parent_ids != [hidden.id]:
        raise Unknown  # another line
    _mark(hidden.tree, known)
    for commit in found:
        yield f"{commit.id}\n"
    for commit in found:
        yield from _new(commit.tree, "", known)


def _mark(tree: pygit2.Tree, known: set[pygit2.Oid]) -> None:
    known.add(tree.id)
    for entry in tree:
        if isinstance(entry, pygit2.Tree):
            _mark(entry, known)
        known.add(entry.id)


def _new(entry: pygit2.Object, path: str, known: set[pygit2.Oid]) -> Iterator[str]:
    if entry.id in known:
        return
    known.add(entry.id)
    yield f"{entry.id} {path}\n"
    if isinstance(entry, pygit2.Tree):
        for each in entry:
            yield from _new(each, f"{path}/{each.name}".lstrip("/"), known)


def merged(asked: Asked) -> str:
    """The tree of a merge in which every path is changed by one side only, and none is new or gone."""
    options, (one, other) = libgit.split(asked.words, {"--write-tree", *SHORT})
    if options not in ({"--write-tree"}, {"--write-tree", *SHORT}):
        raise Unknown
    repository = libgit.opened(asked.folder)
    ours, theirs = (libgit.commit(repository, name) for name in (one, other))
    start = common(repository, ours, theirs)
    changed = [_changed(start.tree, side.tree) for side in (ours, theirs)]
    if changed[0] & changed[1]:
        raise Unknown
    index = repository.merge_trees(start.tree, ours.tree, theirs.tree)
    if index.conflicts is not None:
        raise Unknown
    return f"{index.write_tree(repository)}" + ("\0" if "-z" in options else "\n")


def _changed(one: pygit2.Tree, other: pygit2.Tree) -> set[str]:
    deltas = list(one.diff_to_tree(other, DiffOption.INCLUDE_TYPECHANGE).deltas)
    if any(delta.status != DeltaStatus.MODIFIED for delta in deltas):
        raise Unknown  # a name may be new, or have moved
    return {delta.new_file.path for delta in deltas}


FORMS: dict[str, Callable[[Asked], str | bool]] = {
    "log": log,
    "diff": difference,
    "merge-base": base,
    "rev-list": commits,
    "merge-tree": merged,
}
