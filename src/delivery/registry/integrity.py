"""Whether a version is the one that was promoted: a tag in git records its release, out of reach of who writes the store.

The registry, its digests and the files of a version are written by the same hands, so they can be exchanged together. The
annotated tag `model-3-1a2b3c4d5e6f` is made when version 3 is promoted, from what was measured; its text is a `GitRecord`.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from delivery.adapters import git, git_tags, lost_store
from delivery.core.errors import Failure
from delivery.registry import client, stored
from delivery.registry.version import Version

SHOWN = 12  # characters of a digest in a tag's name


class GitRecord(Struct, frozen=True):
    """What a tag says of a version."""

    version: Annotated[str, Meta(pattern="^[0-9]+$")]
    release: str  # digest of everything that decides an answer
    model: str  # digest of the exported model
    image: str = ""  # empty: it was recorded without one
    attested: bool = True  # whether GitHub has a statement of the image's origin


class Finding(Struct, frozen=True):
    """What the tags say of a version of the registry."""

    state: Literal["recorded", "not recorded", "different"]
    text: str


def prefix() -> str:
    """Return what the names of this model's tags start with."""
    return lost_store.tag_prefix()


def tag_name(number: str, release: str) -> str:
    """Return the name of the tag, and of the GitHub release, of a version."""
    # The number alone would name two versions if the registry was created again.
    return f"{prefix()}{number}-{release[:SHOWN]}"


def records() -> tuple[Mapping[str, GitRecord], str]:
    """Return the records by the names of their tags, and why they may not be current."""
    texts, stale = git_tags.read(prefix())
    found = {}
    for name, text in texts.items():
        with suppress(msgspec.MsgspecError):  # a person's tag
            found[name] = msgspec.json.decode(text, type=GitRecord)
    return found, stale


def find(version: Version) -> Finding:
    """Return what the tags say of a version, compared with what the registry says of it."""
    known, stale = records()
    own = {name: record for name, record in known.items() if record.version == version.number}
    if not own:
        newer = any(int(version.number) > int(record.version) for record in known.values())
        why = stale or ("although an older version is" if newer else "")
        return Finding("not recorded", f"not recorded in git{f' ({why})' if why else ''}")
    for name, record in sorted(own.items()):
        same = (record.release, record.model) == (version.release, version.digest)
        if not same or record.image not in ("", version.image):
            return Finding("different", _difference(version, name, record))
    without = "; attested: no (plan)" if any(_unattested(record) for record in own.values()) else ""
    return Finding("recorded", f"recorded in the tag {min(own)}{without}")


def _unattested(record: GitRecord) -> bool:
    return bool(record.image) and not record.attested


def unattested(version: Version) -> bool:
    """Return whether git records the version with this image, and that it was built where the plan has no attestations."""
    own = [record for record in records()[0].values() if record.version == version.number]
    return bool(own) and find(version).state == "recorded" and all(_unattested(record) for record in own)


def _difference(version: Version, name: str, record: GitRecord) -> str:
    pairs = (
        ("release", record.release, version.release),
        ("model", record.model, version.digest),
        ("image", record.image.rpartition(":")[2], version.image.rpartition(":")[2]),
    )
    part, recorded, registered = next(pair for pair in pairs if pair[1] != pair[2])
    return (
        f"the tag {name} records version {version.number} with the {part} {recorded[:SHOWN]}, the registry has "
        f"{registered[:SHOWN] or 'none'}; restore the store, or delete the tag on the remote if the registry was created again"
    )


def refuse_different(version: Version) -> None:
    """Raise `Failure` if a tag records another content for the version. One that is not recorded passes."""
    if (finding := find(version)).state == "different":
        raise Failure(finding.text)


def examine(version: Version) -> Finding:
    """Return what `find` does, after a look at the version's files too if they are in the store."""
    finding = find(version)
    if finding.state == "different" or client.address() or version.pruned:
        return finding
    try:
        stored.refuse_changed(version, stored.folder(version.source))
    except Failure as failure:
        return Finding("different", str(failure))
    return finding


def record(version: Version, release: str, model: str, image: str, *, attested: bool = True) -> str:
    """Record in git what was promoted as a version; return a sentence if that is not possible, else an empty string.

    The digests are those of what was measured, not what the registry says. Raise `Failure` if git has another record.
    """
    if not git.remote():
        return ""
    measured = GitRecord(version.number, release, model, image, attested)
    if (finding := find(version)).state == "different":
        raise Failure(finding.text)
    known, _ = records()
    if any(each.version == version.number for each in known.values()):
        return ""
    try:
        commit = git.resolve(version.commit)
        git_tags.create(tag_name(version.number, release), commit, msgspec.json.encode(measured).decode())
    except Failure as failure:
        return f"Version {version.number} is not recorded in git: {failure}."
    return ""
