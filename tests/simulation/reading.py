"""Git's answers to questions about refs, objects and settings, read in this process by libgit2.

`answers` calls them, and says what holds for all of them.
"""

import fnmatch
from collections.abc import Callable, Iterator
from pathlib import Path

import pygit2
from pygit2.enums import FileMode

from simulation import libgit
from simulation.libgit import Asked, Unknown

LINE = {
    "%(refname) %(objectname)": "{0} {1}",
    "%(objectname) %(refname)": "{1} {0}",
    "": "{1} {2}\t{0}",
    "%(objecttype) %(refname:strip=2)%0a%(contents)%00": "{2} {3}\n{4}\0",
}


def revision(asked: Asked) -> str:
    options, rest = libgit.split(
        asked.words, {"--verify", "--quiet", "--show-prefix", "--show-toplevel", "--is-shallow-repository"}
    )
    repository = libgit.opened(asked.folder)
    if not rest and options == {"--is-shallow-repository"}:
        return f"{str(repository.is_shallow).lower()}\n"
    if not rest and options == {"--show-prefix"}:
        libgit.top(asked.folder)
        return "\n"
    if not rest and options == {"--show-toplevel"}:
        libgit.top(asked.folder)
        return f"{asked.folder.resolve()}\n"
    if len(rest) != 1 or options - {"--verify", "--quiet"}:
        raise Unknown
    return f"{libgit.named_object(repository, rest[0]).id}\n"


def refs(asked: Asked) -> str:
    formats = [word for word in asked.words if word.startswith("-")]
    form = LINE.get(formats[0].removeprefix("--format=") if formats else "")
    patterns = [word for word in asked.words if not word.startswith("-")]
    if form is None or formats[1:] or not patterns or not all(word.startswith("refs/") for word in patterns):
        raise Unknown
    libgit.plain(*(word.removesuffix("*") for word in patterns))
    repository, lines = libgit.opened(asked.folder), []
    for name, target in libgit.refs(repository, "refs/"):
        if any(_matches(name, pattern) for pattern in patterns):
            kind, text = ("", "") if form.count("{") == 2 else _about(repository, target)
            lines.append(form.format(name, target, kind, name.split("/", 2)[-1], text) + "\n")
    return "".join(lines)


def _about(repository: pygit2.Repository, target: pygit2.Oid) -> tuple[str, str]:
    """The kind of an object, and the message of a tag or a commit."""
    found = repository[target]
    if not isinstance(found, pygit2.Tag | pygit2.Commit):
        raise Unknown
    return found.type_str, found.message.lstrip("\n")


def _matches(name: str, pattern: str) -> bool:
    """As a whole or up to a slash, or as a pattern whose stars match no slash."""
    if pattern.endswith("*"):
        return name.startswith(pattern[:-1]) and "/" not in name[len(pattern) - 1 :]
    return name == pattern or name.startswith(f"{pattern.rstrip('/')}/")


def show(asked: Asked) -> str:
    (name,) = asked.words
    revision, colon, path = name.partition(":")
    if path.startswith("./"):
        libgit.top(asked.folder)  # below it, this is another path
        path = path[2:]
    if not colon or not path:
        raise Unknown
    found = libgit.tree(libgit.opened(asked.folder), revision)[path]
    if not isinstance(found, pygit2.Blob):
        raise Unknown
    return found.data.decode()


def list_tree(asked: Asked) -> str:
    options = [word for word in asked.words if word.startswith("-") and word != "--"]
    revision, *paths = [word for word in asked.words if not word.startswith("-")]
    if set(options) - {"-r", "--name-only"} or len(paths) > 1:
        raise Unknown
    tree = libgit.tree(libgit.opened(asked.folder), revision)
    if paths:
        path = paths[0].rstrip("/")
        libgit.plain(path)
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
        if not libgit.PLAIN.fullmatch(path) or entry.filemode == FileMode.COMMIT:
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


def remote_refs(asked: Asked) -> str:
    options, (name, pattern) = libgit.split(asked.words, {"--refs"})
    at = libgit.local(libgit.opened(asked.folder).remotes[name].url)
    bare = pattern.replace("*", "").replace("[0-9]", "")
    if not pattern.startswith("refs/"):
        raise Unknown
    libgit.plain(bare)
    remote, lines = libgit.opened(at), []
    for ref, target in libgit.refs(remote, "refs/"):
        found = [(ref, target)]
        if not options and isinstance(tag := remote[target], pygit2.Tag):
            found.append((f"{ref}^{{}}", tag.peel(None).id))
        lines += [f"{oid}\t{each}\n" for each, oid in found if fnmatch.fnmatchcase(f"/{each}", f"*/{pattern}")]
    return "".join(lines)


def config(asked: Asked) -> str | bool:
    """A value of the repository's own settings: in the simulation nobody has others of such a name."""
    get, name = asked.words
    if get != "--get" or not name.startswith("remote.origin."):
        raise Unknown
    found = list(libgit.top(asked.folder).config.get_multivar(name))
    return f"{found[-1]}\n" if found else False


def branch(asked: Asked) -> str:
    if asked.words != ["--show-current"]:
        raise Unknown
    name = (Path(libgit.top(asked.folder).path) / "HEAD").read_text().strip()
    prefix = "ref: refs/heads/"
    if name.startswith("ref: ") and not name.startswith(prefix):
        raise Unknown
    return f"{name.removeprefix(prefix)}\n" if name.startswith(prefix) else ""


def sizes(asked: Asked) -> str:
    """The kind and size of each object that the standard input names."""
    if asked.words != ["--batch-check=%(objecttype) %(objectsize)"]:
        raise Unknown
    repository, lines = libgit.opened(asked.folder), []
    for name in asked.text.split():
        if not libgit.SHA.fullmatch(name):
            raise Unknown
        kind, content = repository.read(name)
        lines.append(f"{kind.name.lower()} {len(content)}\n")
    return "".join(lines)


FORMS: dict[str, Callable[[Asked], str | bool]] = {
    "rev-parse": revision,
    "for-each-ref": refs,
    "show": show,
    "ls-tree": list_tree,
    "ls-remote": remote_refs,
    "config": config,
    "branch": branch,
    "cat-file": sizes,
}
