"""Define registered versions and events, and the tags that hold them; no other module writes a tag's key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

import msgspec
from msgspec import Struct, field

from delivery.core.errors import Failure

PRUNED = "files.pruned"
GAP = "migrated.gap"
SINCE = ".since"
EVENT = ".event."
ROLLED_BACK = ".rolled_back"
DRILL = ".drill"


class Lineage(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a release was made of and who approved it.

    Each field is a tag of the version, under the name given here. What equals its default has no tag.
    """

    release: str = field(default="", name="release.digest")  # of everything that decides an answer: registry/release.py
    changes: str = field(default="", name="release.changes")  # what differs from the version before
    digest: str = field(default="", name="model.digest")
    image: str = field(default="", name="image.digest")
    commit: str = field(default="", name="git.commit")
    remote: str | None = field(default=None, name="git.remote")  # empty: the repository has none
    pull: str = field(default="", name="pull.request")
    approved_by: str = field(default="", name="approved.by")
    merged_by: str = field(default="", name="merged.by")
    data_until: str = field(default="", name="data.until")
    data: str = field(default="", name="data.digest")
    lock: str = field(default="", name="dvc.lock.digest")
    train: str = field(default="", name="train.digest")
    gate: str = ""
    compared_with: str = field(default="", name="compared.with")
    boundary: str = field(default="", name="compatibility.boundary")  # why it broke with the clients of those before it
    registered: str = ""
    executor: str = ""


class Version(Lineage, frozen=True, kw_only=True):
    """A version of the registry. `tags` are all of its tags, for this room only: others read the named fields."""

    number: str
    aliases: tuple[str, ...] = ()
    description: str = ""
    pruned: str = ""  # when its files were removed
    run: str = ""  # the id of MLflow's run that holds its metrics and files
    source: str = ""  # the address of its files
    tags: Mapping[str, str] = MappingProxyType({})


class Event(Struct, frozen=True, omit_defaults=True):
    """A move of an environment, or a failed one. It is a tag of the version: whoever can roll back can also see it."""

    time: str
    environment: str
    version: str
    how: str  # the verb: promote, deploy, rollback, run, register; or canary
    by: str = ""
    outcome: str = "succeeded"  # or failed: the version from before still serves
    before: str = ""  # the version that served before
    reason: str = ""
    commit: str = ""
    committed: str = ""  # when that commit was made
    pull: str = ""
    image: str = ""
    head: str = ""  # of a promotion: the commit that was promoted; that of the version may be older
    run: str = ""  # address of the workflow run
    seconds: float = 0.0


class Drill(Struct, frozen=True, omit_defaults=True):
    """What came of starting the version that an environment would be rolled back to. It is a tag of that version."""

    time: str
    version: str
    seconds: float = 0.0  # until it was ready
    requests: int = 0
    accepted: int = 0
    failure: str = ""  # empty: the rollback is proven


_KEYS = {entry.name: entry.encode_name for entry in msgspec.structs.fields(Lineage)}
_DEFAULTS = {entry.name: entry.default for entry in msgspec.structs.fields(Lineage)}


def tag_key(name: str) -> str:
    """Return the key of the tag that holds a field of `Lineage`."""
    return _KEYS[name]


def lineage_tags(lineage: Lineage) -> Mapping[str, str]:
    """Return the tags of a lineage, without those that are not on record."""
    return {_KEYS[name]: value for name in _KEYS if (value := getattr(lineage, name)) != _DEFAULTS[name]}


def from_tags(
    number: str, tags: Mapping[str, str], aliases: Iterable[str] = (), *,
    description: str = "", run: str = "", source: str = "",
) -> Version:  # fmt: skip
    """Return the version of these tags."""
    return Version(
        **msgspec.structs.asdict(msgspec.convert(dict(tags), Lineage)),
        number=number,
        aliases=tuple(sorted(aliases)),
        description=description,
        pruned=tags.get(PRUNED, ""),
        run=run,
        source=source,
        tags=MappingProxyType(dict(tags)),
    )


def pick(known: Sequence[Version], which: str) -> Version:
    """Return the version with this number or alias. Raise `Failure` that lists what exists."""
    for version in known:
        if which == version.number or which in version.aliases:
            return version
    listed = ", ".join(version.number + "".join(f" ({alias})" for alias in version.aliases) for version in known)
    raise Failure(f"the registry has no version or alias {which}; it has {listed or 'none yet'}")


def aliased(known: Iterable[Version], alias: str) -> Version | None:
    """Return the version that an alias points to."""
    return next((version for version in known if alias in version.aliases), None)


def event_tags(event: Event) -> Mapping[str, str]:
    """Return the tag of an event, named by its moment so that no two share one."""
    stamp = event.time.translate(str.maketrans("", "", "-:.")).partition("+")[0]
    return {f"{event.environment}{EVENT}{stamp}": msgspec.json.encode(event).decode()}


def events(known: Iterable[Version]) -> list[Event]:
    """Return the events of all versions, oldest first."""
    decoded = [
        msgspec.json.decode(value, type=Event)
        for version in known
        for key, value in version.tags.items()
        if is_event(key)
    ]
    return sorted(decoded, key=lambda event: event.time)


def is_event(key: str) -> bool:
    """Return whether a tag is an event."""
    return EVENT in key


def moment_tags(version: Version, alias: str, moment: str) -> Mapping[str, str]:
    """Return the tag of the moments at which the alias came to the version, with one more."""
    return {f"{alias}{SINCE}": " ".join([*moments(version, alias), moment])}


def moments(version: Version, alias: str) -> list[str]:
    """Return the moments at which the alias came to the version, oldest first."""
    return version.tags.get(f"{alias}{SINCE}", "").split()


def served(known: Iterable[Version], alias: str) -> list[tuple[str, str]]:
    """Return (moment, number) of each time that the alias came to a version, oldest first."""
    pairs = [(moment, version.number) for version in known for moment in moments(version, alias)]
    return sorted(pairs, key=lambda pair: (pair[0], int(pair[1])))


def environments(known: Iterable[Version]) -> set[str]:
    """Return the environments that have ever had a version."""
    return {key.removesuffix(SINCE) for version in known for key in version.tags if key.endswith(SINCE)}


def same_release(known: Iterable[Version], release: str) -> Version | None:
    """Return the first version of this release, or None."""
    same = [version for version in known if release and version.release == release]
    return min(same, key=lambda version: int(version.number), default=None)


def rolled_back_tags(environment: str, note: str) -> Mapping[str, str]:
    """Return the tag of a version that an environment was rolled back from."""
    return {f"{environment}{ROLLED_BACK}": note}


def rolled_back(version: Version, environment: str) -> str:
    """Return when, by whom and why the environment was rolled back from the version; empty if it was not."""
    return version.tags.get(f"{environment}{ROLLED_BACK}", "")


def drill_tags(environment: str, drill: Drill) -> Mapping[str, str]:
    """Return the tag of a version that an environment would be rolled back to."""
    return {f"{environment}{DRILL}": msgspec.json.encode(drill).decode()}


def drilled(version: Version, environment: str) -> Drill | None:
    """Return the newest drill of a rollback of the environment to this version."""
    text = version.tags.get(f"{environment}{DRILL}", "")
    return msgspec.json.decode(text, type=Drill) if text else None


def pruned_tags(moment: str) -> Mapping[str, str]:
    """Return the tag of a version whose files were removed."""
    return {PRUNED: moment}


def gap_tags() -> Mapping[str, str]:
    """Return the tag of a version that stands for a deleted one while the registry is migrated."""
    return {GAP: "deleted in the store"}


def is_gap(version: Version) -> bool:
    """Return whether the version stands for a deleted one, so that the next ones keep their numbers."""
    return GAP in version.tags
