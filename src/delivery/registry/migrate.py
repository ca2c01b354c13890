"""Verb `migrate`: copy the store's contents to a registry server or another DVC remote, and verify each object there.

An interrupted migration resumes when it is started again. The store does not change.
"""

import argparse
import tempfile
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from delivery.adapters import dvc_remote
from delivery.core import files, workspace
from delivery.core.errors import Failure
from delivery.core.progress import progress
from delivery.registry import registry, stored
from delivery.registry.version import Version, is_gap


class StoredVersion(Struct, frozen=True):
    """A version of the store with the metrics and files of its run."""

    version: Version
    metrics: Mapping[str, float]
    files: Path


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the verb."""
    parser.add_argument(
        "what",
        choices=("registry", "objects"),
        help="registry: the versions, to the server at MLFLOW_TRACKING_URI; objects: DVC's files, to its default remote",
    )


def main(options: argparse.Namespace) -> None:
    """Migrate the registry or the objects, and print how many were copied and verified."""
    with progress(f"migrate {options.what}"):
        result = migrate_versions() if options.what == "registry" else migrate_objects()
    print(f"migrate: {result}")


def migrate_versions() -> str:
    """Copy every version under its own number; set the aliases last, once all versions are verified."""
    if not registry.address():
        raise Failure("MLFLOW_TRACKING_URI is not set; set it to the server that gets the versions")
    if not workspace.REGISTRY_DATABASE.exists():
        raise Failure("the store has no registry; run `delivery store pull`")
    source = stored_versions()
    with registry.connection():
        added = range(newest_migrated(source) + 1, max(source, default=0) + 1)
        for number in added:
            made = _copy(source[number]) if number in source else registry.add_gap()
            if made != str(number):
                raise Failure(f"version {made} was made instead of {number}: another writer uses the server")
        for _, original in sorted(source.items()):
            _verify(original)
        for version in registry.versions():
            if is_gap(version):
                registry.delete(version.number)
        aliases = {alias: number for number, original in source.items() for alias in original.version.aliases}
        for alias, number in aliases.items():
            registry.point(alias, str(number))
    return (
        f"{len(source)} version(s), {len(source.keys() & set(added))} of them new, and {len(aliases)} alias(es) are on "
        f"{registry.address()}; files, tags and metrics were read back and are those of the store"
    )


def stored_versions() -> Mapping[int, StoredVersion]:
    """Return the versions of the store by number."""
    with registry.connection(registry.sqlite(workspace.REGISTRY_DATABASE)):
        return {
            int(version.number): StoredVersion(version, registry.metrics(version), stored.folder(version.source))
            for version in registry.versions()
        }


def newest_migrated(source: Mapping[int, StoredVersion]) -> int:
    """Return the newest version that an earlier run has copied. Raise `Failure` if others use the server."""
    migrated = {int(version.number): version for version in registry.versions()}
    for number, version in sorted(migrated.items()):
        if not is_gap(version) and (number not in source or source[number].version.tags != version.tags):
            raise Failure(
                f"version {number} on {registry.address()} is not the store's: the server is in use already; "
                "migrate to an empty one"
            )
    return max(migrated, default=0)


def _copy(original: StoredVersion) -> str:
    """Copy the version's run with metrics and files, then the version. Raise `Failure` if its files were changed."""
    version = original.version
    if not version.pruned and files.digest(original.files / "export") != version.digest:
        raise Failure(
            f"the store's files of version {version.number} are not those that were registered; restore the store"
        )
    return registry.add_copy(version, original.metrics, original.files)


def _verify(original: StoredVersion) -> None:
    """Read a version back. Raise `Failure` if it differs from the store's."""
    number = original.version.number
    copy = registry.find(number)
    with tempfile.TemporaryDirectory() as scratch:
        copied = registry.download_unverified(copy, Path(scratch))
        same = {
            "files": files.digest(copied) == files.digest(original.files),
            "tags": copy.tags == original.version.tags,
            "description": copy.description == original.version.description,
            "metrics": registry.metrics(copy) == original.metrics,
        }
    if wrong := [name for name, equal in same.items() if not equal]:
        raise Failure(
            f"version {number} on {registry.address()} has other {', '.join(wrong)} than the store; migrate to an "
            "empty server"
        )


def migrate_objects() -> str:
    """Send every file of the store's DVC folder to DVC's default remote; each is read back from there and hashed."""
    remote = dvc_remote.opened()
    if remote.fs.protocol == "local" and Path(remote.path).resolve() == workspace.DVC_OBJECTS.resolve():
        raise Failure("DVC's default remote is the store itself; `dvc remote add --default NAME URL` sets another one")
    paths = list(workspace.DVC_OBJECTS.glob("??/*"))
    sent = dvc_remote.send(remote, paths)
    size = sum(path.stat().st_size for path in paths) / 1e6
    return (
        f"{len(paths)} object(s), {size:.1f} MB, are on {dvc_remote.address(remote)}: {sent} sent, "
        f"{len(paths) - sent} there already; each was read back and matches its digest"
    )
