"""What git does between two repositories of this machine: clone, fetch, pull and push, done in this process.

Only what succeeds. Whatever git would refuse, it has to refuse itself.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pygit2
from pygit2.enums import CheckoutStrategy

from simulation import libgit, working
from simulation.libgit import Asked, Unknown

HEAD = "ref: refs/heads/{}\n"
CONFIG = "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = {}\n"
LOGS = "\tlogallrefupdates = true\n"
REMOTE = '[remote "origin"]\n\turl = {}\n\tfetch = +refs/heads/{}:refs/remotes/origin/{}\n'
BRANCH = '[branch "{0}"]\n\tremote = origin\n\tmerge = refs/heads/{0}\n'
FETCHES = 0  # the direction of a refspec, which pygit2 has no name for
SPECIFIC = re.compile(r"(\+?)([^:+]*):([^:]+)")
WHOLE = ["--quiet", "--depth", "1", "--single-branch", "--branch"]
TAGS = ["--quiet", "--no-tags", "--prune", "--depth", "1", "--filter", "tree:0", "origin"]


def init(asked: Asked) -> str:
    options, paths = libgit.split(asked.words, {"--quiet", "--bare", "--initial-branch"})
    if options == {"--quiet", "--bare"}:
        (path,), branch = paths, "master"
    elif options == {"--quiet", "--initial-branch"}:
        branch, path = paths
    else:
        raise Unknown
    at = libgit.below(asked.folder, path)
    if at.exists() and any(at.iterdir()):
        raise Unknown
    bare = "--bare" in options
    _made(at if bare else at / ".git", branch, CONFIG.format(str(bare).lower()) + ("" if bare else LOGS))
    return ""


def _made(folder: Path, branch: str, config: str) -> None:
    for name in ("objects/info", "objects/pack", "refs/heads", "refs/tags"):
        (folder / name).mkdir(parents=True)
    (folder / "HEAD").write_text(HEAD.format(branch))
    (folder / "config").write_text(config)


def remote(asked: Asked) -> str:
    how, name, url = asked.words
    repository = libgit.opened(asked.folder)
    if name != "origin" or how not in ("add", "set-url"):
        raise Unknown
    known = "origin" in repository.remotes.names()
    if known != (how == "set-url"):
        raise Unknown
    if not known:
        repository.remotes.create(name, url)
    elif repository.remotes[name].url != url:
        repository.remotes.set_url(name, url)
    return ""


def clone(asked: Asked) -> str:
    """One branch of a repository on this machine, for which git ignores a depth and links all objects."""
    if asked.words[:-3] != WHOLE:
        raise Unknown
    branch, url, path = asked.words[-3:]
    source, at = libgit.local(url), libgit.below(asked.folder, path)
    ref, known = f"refs/heads/{branch}", libgit.opened(source)
    if known.is_shallow or (at.exists() and any(at.iterdir())):
        raise Unknown
    if (source / "HEAD").read_text() == HEAD.format(branch):
        raise Unknown  # git records which branch is the default one
    commit, tags = libgit.commit(known, ref), list(libgit.refs(known, "refs/tags/"))
    config = CONFIG.format("false") + LOGS + REMOTE.format(url, branch, branch) + BRANCH.format(branch)
    _made(at / ".git", branch, config)
    (at / ".git" / "objects" / "info" / "alternates").write_text(f"{source / 'objects'}\n")
    packed = [*tags, (f"refs/remotes/origin/{branch}", commit.id)]
    lines = [f"{target} {name}\n" for name, target in sorted((name, str(target)) for name, target in packed)]
    (at / ".git" / "packed-refs").write_text("".join(lines))
    repository = libgit.opened(at)
    repository.references.create(ref, commit.id)
    repository.checkout_tree(repository[commit.id], strategy=CheckoutStrategy.FORCE)
    return ""


def fetch(asked: Asked) -> str:
    words, repository = asked.words, libgit.opened(asked.folder)
    if words[:-1] == TAGS:
        return _fetch_tags(repository, words[-1])
    options, (origin, *specs) = libgit.split(words, {"--quiet", "--depth=1", "--depth"})
    shallow = bool(options - {"--quiet"})
    if "--depth" in options:
        if origin != "1":
            raise Unknown
        origin, *specs = specs
    if "--quiet" not in options or len(specs) != 1:
        raise Unknown
    spec = SPECIFIC.fullmatch(specs[0])
    force, source, target = spec.groups() if spec else ("", specs[0], "")
    if not source or "*" in specs[0]:
        raise Unknown
    if spec is None and not source.startswith("refs/"):
        source = f"refs/heads/{source}"
    _fetched(repository, origin, source, target, force=bool(force), shallow=shallow)
    return ""


def _fetched(
    repository: pygit2.Repository, origin: str, source: str, target: str, *, force: bool, shallow: bool
) -> pygit2.Oid:
    """Get one branch; without a target only to where the settings of the remote say."""
    known = origin == "origin"
    url = repository.remotes["origin"].url if known else origin
    at = libgit.local(url)
    other = libgit.opened(at)
    if other.is_shallow or not source.startswith("refs/heads/") or (shallow and not _borrows(repository, at)):
        raise Unknown
    tip = other.references[source].peel(pygit2.Commit).id
    if target and not pygit2.reference_is_valid_name(target):
        raise Unknown
    targets = {target: force} if target else {}
    for spec in _specs(repository) if known else []:
        if spec.src_matches(source):
            targets.setdefault(spec.transform(source), spec.force)
    for name, forced in targets.items():
        old = repository.references.get(name)
        if not repository.is_bare and not repository.head_is_unborn and repository.head.name == name:
            raise Unknown
        if old is not None and not forced and not _ahead(other, tip, old.target):
            raise Unknown
    sent(other, repository, tip)
    for name in targets:
        repository.references.create(name, tip, force=True)
    if shallow:
        _cut(repository, tip)
    if target and Path(repository.path) != Path(f"{at}/"):
        _follow_tags(other, repository, all_of_them=known)
    words = f"branch '{source.removeprefix('refs/heads/')}' of {url}"
    (Path(repository.path) / "FETCH_HEAD").write_text(f"{tip}\t\t{words}\n")
    return tip


def _cut(repository: pygit2.Repository, tip: pygit2.Oid) -> None:
    """Nothing before a commit is known any more."""
    file = Path(repository.path) / "shallow"
    if file.exists() and file.read_text() != f"{tip}\n":
        raise Unknown
    file.write_text(f"{tip}\n")


def _specs(repository: pygit2.Repository) -> Iterator:
    origin = repository.remotes["origin"]
    for number in range(origin.refspec_count):
        spec = origin.get_refspec(number)
        if spec.direction == FETCHES:
            yield spec


def _borrows(repository: pygit2.Repository, other: Path) -> bool:
    """Whether it has all objects of another one."""
    file = Path(repository.path) / "objects" / "info" / "alternates"
    return file.exists() and str(other / "objects") in file.read_text().splitlines()


def _ahead(repository: pygit2.Repository, new: pygit2.Oid, old: pygit2.Oid | str) -> bool:
    return new == old or (old in repository and repository.descendant_of(new, old))


def _follow_tags(source: pygit2.Repository, target: pygit2.Repository, *, all_of_them: bool) -> None:
    """Git also gets the tags of what it has."""
    for name, tag in libgit.refs(source, "refs/tags/"):
        if name not in target.references:
            if not all_of_them:
                raise Unknown
            if source[tag].peel(None).id in target:
                sent(source, target, tag)
                target.references.create(name, tag)


def _fetch_tags(repository: pygit2.Repository, spec: str) -> str:
    """The annotated tags of a pattern into a repository that has nothing else."""
    found = re.fullmatch(r"\+(refs/tags/[\w.-]+)\*:\1\*", spec)
    at = libgit.local(repository.remotes["origin"].url)
    other = libgit.opened(at)
    prefix = found[1] if found else ""
    tags = dict(libgit.refs(other, prefix)) if prefix else {}
    if not tags or any(not isinstance(other[oid].peel(None), pygit2.Commit) for oid in tags.values()):
        raise Unknown
    if (
        not repository.is_bare
        or other.is_shallow
        or set(dict(libgit.refs(repository, "refs/"))) - _tags_of(repository, prefix)
    ):
        raise Unknown
    borrowed = Path(repository.path) / "objects" / "info" / "alternates"
    if not _borrows(repository, at):
        borrowed.write_text(f"{at / 'objects'}\n")
        repository = libgit.opened(Path(repository.path))
    for name in _tags_of(repository, prefix) - tags.keys():
        repository.references.delete(name)
    for name, oid in tags.items():
        old = repository.references.get(name)
        if old is None or old.target != oid:
            repository.references.create(name, oid, force=True)
    commits = sorted({str(other[oid].peel(pygit2.Commit).id) for oid in tags.values()})
    (Path(repository.path) / "shallow").write_text("".join(f"{each}\n" for each in commits))
    settings = {"remote.origin.promisor": "true", "remote.origin.partialclonefilter": "tree:0"}
    for name, value in ({"core.repositoryformatversion": "1"} | settings).items():
        repository.config[name] = value
    lines = [f"{oid}\tnot-for-merge\ttag '{name.removeprefix('refs/tags/')}' of {at}\n" for name, oid in tags.items()]
    (Path(repository.path) / "FETCH_HEAD").write_text("".join(lines))
    return ""


def _tags_of(repository: pygit2.Repository, prefix: str) -> set[str]:
    return {name for name, _ in libgit.refs(repository, prefix)}


def pull(asked: Asked) -> str:
    if asked.words[:-1] != ["--quiet", "--ff-only", "origin"]:
        raise Unknown
    repository = working.quiet(libgit.top(asked.folder))
    libgit.plain(asked.words[-1])
    ref = f"refs/heads/{asked.words[-1]}"
    if repository.head_is_detached or repository.head_is_unborn or repository.is_shallow:
        raise Unknown
    old, other = repository.head.target, libgit.opened(libgit.local(repository.remotes["origin"].url))
    if not _ahead(other, other.references[ref].target, old):
        raise Unknown
    tip = _fetched(repository, "origin", ref, "", force=False, shallow=False)
    if tip != old:
        working.move(repository, repository[tip].peel(pygit2.Commit))
        repository.references.create(repository.head.name, tip, force=True)
    return ""


def push(asked: Asked) -> str:
    lease = next((word for word in asked.words if word.startswith("--force-with-lease=")), "")
    options, (origin, *specs) = libgit.split(
        [word for word in asked.words if word != lease], {"--quiet", "--porcelain", "--force"}
    )
    if origin != "origin" or len(specs) != 1 or not options & {"--quiet", "--porcelain"}:
        raise Unknown
    repository = working.quiet(libgit.opened(asked.folder))
    spec = SPECIFIC.fullmatch(specs[0])
    url = repository.remotes["origin"].url
    other = working.quiet(libgit.opened(libgit.local(url)))
    if spec is None or not other.is_bare:
        raise Unknown
    force, source, target = bool(spec[1]) or "--force" in options, spec[2], spec[3]
    if not target.startswith("refs/"):
        if any(f"{kind}/{target}" in other.references for kind in ("refs", "refs/tags", "refs/remotes")):
            raise Unknown
        target = f"refs/heads/{target}"
        if target not in other.references:
            raise Unknown
    if not source:
        raise Unknown
    new = libgit.named_object(repository, source).id
    old = other.references[target].target if target in other.references else None
    if lease:
        name, _, expected = lease.removeprefix("--force-with-lease=").partition(":")
        if name != target or expected != str(old or ""):
            raise Unknown
        force = True
    _allowed(repository, other, target, old, new, force=force)
    if new != old:
        sent(repository, other, new)
        other.references.create(target, new, force=True)
        for each in _specs(repository):
            if each.src_matches(target):
                repository.references.create(each.transform(target), new, force=True)
    if "--porcelain" not in options:
        return ""
    moved = "[up to date]" if new == old else f"{str(old)[:7]}..{str(new)[:7]}"
    return f"To {url}\n{'=' if new == old else ' '}\t{source}:{target}\t{moved}\nDone\n"


def _allowed(repository: pygit2.Repository, other: pygit2.Repository, target: str, old: pygit2.Oid | None, new: pygit2.Oid,
             *, force: bool) -> None:  # fmt: skip
    """Whether the push succeeds; if not, git says why not."""
    if not target.startswith(("refs/heads/", "refs/tags/")) or not pygit2.reference_is_valid_name(target):
        raise Unknown
    commit = repository[new].type_str == "commit"
    if old is None:
        if (target.startswith("refs/heads/") and not commit) or repository.is_shallow:
            raise Unknown
    elif (
        not force and new != old and not (commit and target.startswith("refs/heads/") and _ahead(repository, new, old))
    ):
        raise Unknown
    if repository.is_shallow:
        cut = (Path(repository.path) / "shallow").read_text().split()
        if old is None or any(
            each != str(old) and not (each in other and other.descendant_of(old, each)) for each in cut
        ):
            raise Unknown


def sent(source: pygit2.Repository, target: pygit2.Repository, oid: pygit2.Oid) -> None:
    """Copy an object and all that it names, what it names first: so nothing is there without what it needs."""
    if oid in target:
        return
    found = source[oid]
    if isinstance(found, pygit2.Commit):
        waiting = [found]
        while waiting:  # a history may be long
            commit = waiting[-1]
            parents = [parent for parent in commit.parents if parent.id not in target]
            if parents:
                waiting += parents
                continue
            sent(source, target, commit.tree_id)
            _write(source, target, commit.id)
            waiting.pop()
    elif isinstance(found, pygit2.Tree):
        for entry in found:
            sent(source, target, entry.id)
        _write(source, target, oid)
    elif isinstance(found, pygit2.Tag):
        sent(source, target, found.target)
        _write(source, target, oid)
    else:
        _write(source, target, oid)


def _write(source: pygit2.Repository, target: pygit2.Repository, oid: pygit2.Oid) -> None:
    kind, content = source.read(oid)
    target.write(kind, content)


FORMS: dict[str, Callable[[Asked], str | bool]] = {
    "init": init,
    "remote": remote,
    "clone": clone,
    "fetch": fetch,
    "pull": pull,
    "push": push,
}
