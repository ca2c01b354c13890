"""What git does with files, the index and new objects, done in this process by libgit2."""

import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pygit2
from pygit2.enums import CheckoutStrategy, FileMode, FileStatus, ObjectType

from simulation import libgit
from simulation.libgit import Asked, Unknown

NAME = re.compile(r"[\w\[\]@+-]([\w\[\]@+ .-]*[\w\[\]@+-])?")  # of people: what git takes as it is
BUSY = ("MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "rebase-merge", "rebase-apply", "index.lock")
TAG = re.compile(
    r"object ([0-9a-f]{40})\ntype commit\ntag ([\w.-]+)\ntagger ([^\n<>]+) <([^\n<>]+)> (\d+) \+0000\n\n(.*)", re.DOTALL
)
STAGED = {FileStatus.INDEX_NEW: "A", FileStatus.INDEX_MODIFIED: "M", FileStatus.INDEX_DELETED: "D"}
CHANGED = {FileStatus.WT_MODIFIED: "M", FileStatus.WT_DELETED: "D"}
OTHER = ~(FileStatus.INDEX_NEW | FileStatus.INDEX_MODIFIED | FileStatus.INDEX_DELETED
          | FileStatus.WT_NEW | FileStatus.WT_MODIFIED | FileStatus.WT_DELETED)  # fmt: skip


def quiet(repository: pygit2.Repository) -> pygit2.Repository:
    """The repository, in which nothing is under way that git would consider, and no hook runs."""
    folder = Path(repository.path)
    hooks = folder / "hooks"
    if any((folder / name).exists() for name in BUSY):
        raise Unknown
    if hooks.is_dir() and any(not path.name.endswith(".sample") for path in hooks.iterdir()):
        raise Unknown
    return repository


def status(asked: Asked) -> str:
    options, paths = libgit.split(
        asked.words, {"--porcelain", "-z", "--untracked-files=all", "--untracked-files=no", "--no-renames"}
    )
    if "--porcelain" not in options or any("*" in path or ":" in path for path in paths):
        raise Unknown
    repository = libgit.top(asked.folder)
    how = "normal" if not options & {"--untracked-files=all", "--untracked-files=no"} else "all"
    tracked, untracked = [], []
    for name, flags in sorted(repository.status(how).items(), key=lambda item: item[0].encode()):
        if flags & FileStatus.IGNORED or not libgit.within(name.rstrip("/"), paths):
            continue
        if flags & OTHER or (name.endswith("/") and how == "all"):
            raise Unknown
        letters = [next((text for flag, text in kinds.items() if flags & flag), " ") for kinds in (STAGED, CHANGED)]
        if letters != [" ", " "]:
            tracked.append((f"{letters[0]}{letters[1]}", name))
        if flags & FileStatus.WT_NEW:
            untracked.append(("??", name))
    if "--no-renames" not in options and {"A", "D"} <= {letters[0] for letters, _ in tracked}:
        raise Unknown
    found = tracked + ([] if "--untracked-files=no" in options else untracked)
    if "-z" not in options:
        libgit.plain(*(name for _, name in found))
    return "".join(f"{letters} {name}" + ("\0" if "-z" in options else "\n") for letters, name in found)


def add(asked: Asked) -> str:
    options, paths = libgit.split(asked.words, {"--all", "--force"})
    repository = quiet(libgit.top(asked.folder))
    index = repository.index
    if options == {"--all"} and paths in ([], ["."]):
        index.add_all()
    elif options == {"--force"} and paths:
        libgit.plain(*paths)
        for path in paths:
            if not (asked.folder / path).is_file() or (asked.folder / path).is_symlink():
                raise Unknown
            index.add(path)
    else:
        raise Unknown
    if any(entry.mode == FileMode.COMMIT for entry in index) or index.conflicts is not None:
        raise Unknown
    index.write()
    return ""


def listed(asked: Asked) -> str:
    """The files of the index with one of these names in any folder, or what a folder has that the index has not."""
    index = libgit.top(asked.folder).index
    if asked.words[:2] == ["--others", "--"]:
        (path,) = asked.words[2:]
        libgit.plain(path)
        known = {entry.path for entry in index}
        names = [each.relative_to(asked.folder).as_posix() for each in (asked.folder / path).rglob("*")
                 if not each.is_dir() or each.is_symlink()]  # fmt: skip
        found = sorted(set(names) - known, key=str.encode)
        if (asked.folder / path).is_file() or any(each.name == ".git" for each in (asked.folder / path).rglob("*")):
            raise Unknown
    else:
        mark, *patterns = asked.words
        endings = [pattern.removeprefix("**/") for pattern in patterns]
        libgit.plain(*endings)
        if mark != "--":
            raise Unknown
        found = [
            entry.path
            for entry in index
            if any(
                entry.path.endswith(f"/{ending}") if pattern != ending else libgit.within(entry.path, [pattern])
                for pattern, ending in zip(patterns, endings, strict=True)
            )
        ]
    libgit.plain(*found)
    return "".join(f"{name}\n" for name in found)


def commit(asked: Asked) -> str:
    options, (message,) = libgit.split(asked.words, {"--quiet", "--allow-empty", "--message"})
    if not {"--quiet", "--message"} <= options or asked.words[-2] != "--message":
        raise Unknown
    lines = message.split("\n")
    if not lines[0].strip() or any(line != line.rstrip() for line in lines) or "\n\n\n" in message or not lines[-1]:
        raise Unknown
    repository = quiet(libgit.top(asked.folder))
    if repository.index.conflicts is not None:
        raise Unknown
    tree = repository.index.write_tree()
    parents = [] if repository.head_is_unborn else [repository.head.target]
    if parents and "--allow-empty" not in options and libgit.tree(repository, "HEAD").id == tree:
        raise Unknown  # git refuses
    repository.create_commit("HEAD", *people(asked), f"{message}\n", tree, parents)
    return ""


def people(asked: Asked) -> tuple[pygit2.Signature, pygit2.Signature]:
    """Author and committer, as the variables say, or the settings of the command."""
    found = []
    for who in ("AUTHOR", "COMMITTER"):
        name = asked.variables.get(f"GIT_{who}_NAME") or asked.settings.get("user.name", "")
        email = asked.variables.get(f"GIT_{who}_EMAIL") or asked.settings.get("user.email", "")
        moment = asked.variables.get(f"GIT_{who}_DATE", "")
        if not NAME.fullmatch(name) or not NAME.fullmatch(email) or not moment.endswith("+00:00"):
            raise Unknown
        found.append(pygit2.Signature(name, email, int(datetime.fromisoformat(moment).timestamp()), 0))
    return found[0], found[1]


def commit_tree(asked: Asked) -> str:
    tree, *words = asked.words
    repository, parents, message = libgit.opened(asked.folder), [], ""
    for option, value in zip(words[::2], words[1::2], strict=True):
        if option == "-p":
            parents.append(libgit.commit(repository, value).id)
        elif option == "-m" and not message:
            message = value
        else:
            raise Unknown
    if not message or len(set(parents)) < len(parents):
        raise Unknown
    found = libgit.named_object(repository, tree)
    if not isinstance(found, pygit2.Tree):
        raise Unknown
    message += "" if message.endswith("\n") else "\n"
    return f"{repository.create_commit(None, *people(asked), message, found.id, parents)}\n"


def make_tag(asked: Asked) -> str:
    found = TAG.fullmatch(asked.text)
    if asked.words or not found or not NAME.fullmatch(found[3]) or not NAME.fullmatch(found[4]) or "\0" in asked.text:
        raise Unknown
    repository = libgit.opened(asked.folder)
    if not isinstance(repository[found[1]], pygit2.Commit) or not pygit2.reference_is_valid_name(
        f"refs/tags/{found[2]}"
    ):
        raise Unknown
    return f"{repository.write(ObjectType.TAG, asked.text.encode())}\n"


def hash_object(asked: Asked) -> str:
    write, unfiltered, name = asked.words
    if (write, unfiltered) != ("-w", "--no-filters"):
        raise Unknown
    return f"{libgit.opened(asked.folder).create_blob((asked.folder / name).read_bytes())}\n"


# With an index of its own, which a variable names


def _index(asked: Asked) -> pygit2.Index:
    name = asked.variables.get("GIT_INDEX_FILE")
    if not name:
        raise Unknown
    return pygit2.Index(str(asked.folder / name))


def read_tree(asked: Asked) -> str:
    (revision,) = asked.words
    tree, index = libgit.tree(libgit.opened(asked.folder), revision), _index(asked)
    index.read_tree(tree)
    index.write()
    return ""


def update_index(asked: Asked) -> str:
    add, how, entry = asked.words
    mode, blob, path = entry.split(",", 2)
    if (add, how, mode) != ("--add", "--cacheinfo", "100644") or not libgit.SHA.fullmatch(blob):
        raise Unknown
    libgit.plain(*path.split("/"))
    index = _index(asked)
    index.add(pygit2.IndexEntry(path, pygit2.Oid(hex=blob), FileMode.BLOB))
    index.write()
    return ""


def write_tree(asked: Asked) -> str:
    if asked.words:
        raise Unknown
    return f"{_index(asked).write_tree(libgit.opened(asked.folder))}\n"


def update_ref(asked: Asked) -> str:
    """In a repository without logs of refs, or a ref that has no log."""
    options, words = libgit.split(asked.words, {"-d"})
    repository, name = libgit.opened(asked.folder), words[0]
    if not (repository.is_bare or name.startswith("refs/delivery/")) or not pygit2.reference_is_valid_name(name):
        raise Unknown
    if options:
        if len(words) > 1 or not name.startswith("refs/heads/"):
            raise Unknown
        repository.references.delete(name)
        return ""
    (revision,) = words[1:]
    target = libgit.named_object(repository, revision)
    if name.startswith("refs/heads/") and not isinstance(target, pygit2.Commit):
        raise Unknown
    repository.references.create(name, target.id, force=True)
    return ""


def checkout(asked: Asked) -> str:
    """Another branch, or a new one, in a folder in which no file of the index is changed."""
    options, words = libgit.split(asked.words, {"--quiet", "-b", "-B"})
    repository = quiet(libgit.top(asked.folder))
    if "--quiet" not in options or not words or "--" in asked.words:
        raise Unknown
    libgit.plain(*words)
    name, start = words[0], words[1] if words[1:] else "HEAD"
    ref = f"refs/heads/{name}"
    if options == {"--quiet"}:
        if words[1:] or ref not in repository.references:
            raise Unknown
        start = ref
    elif options == {"--quiet", "-b"} and (ref in repository.references or words[1:]):
        raise Unknown
    if not (start == "HEAD" or start.startswith("refs/") or f"refs/heads/{start}" in repository.references):
        raise Unknown  # a short name of a remote's branch, perhaps
    commit = libgit.commit(repository, start)
    if repository.head_is_unborn or commit.id != repository.head.target:
        move(repository, commit)
    if options != {"--quiet"}:
        repository.references.create(ref, commit.id, force=True)
        if start.startswith("refs/remotes/origin/"):  # git remembers where it comes from
            repository.config[f"branch.{name}.remote"] = "origin"
            repository.config[f"branch.{name}.merge"] = f"refs/heads/{start.removeprefix('refs/remotes/origin/')}"
    repository.set_head(ref)
    return ""


def move(repository: pygit2.Repository, commit: pygit2.Commit) -> None:
    """Bring the files to a commit."""
    if any(flags & ~(FileStatus.WT_NEW | FileStatus.IGNORED) for flags in repository.status("no").values()):
        raise Unknown
    repository.checkout_tree(commit, strategy=CheckoutStrategy.SAFE)


FORMS: dict[str, Callable[[Asked], str | bool]] = {
    "status": status,
    "add": add,
    "ls-files": listed,
    "commit": commit,
    "commit-tree": commit_tree,
    "mktag": make_tag,
    "hash-object": hash_object,
    "read-tree": read_tree,
    "update-index": update_index,
    "write-tree": write_tree,
    "update-ref": update_ref,
    "checkout": checkout,
}
