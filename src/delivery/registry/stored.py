"""Keep the files of versions in the store, at the paths that `mlflow server --artifacts-destination` would use."""

import shutil
from pathlib import Path

from delivery.core import workspace
from delivery.core.errors import Failure
from delivery.core.files import digest, replacing, sweep
from delivery.registry import release
from delivery.registry.version import Version

SCHEME = "mlflow-artifacts:"


def folder(source: str) -> Path:
    """Return the folder in the store that an address of MLflow's artifacts stands for.

    Raise `Failure` if it leads out of the store: whoever can write the registry's database chooses it, and files in it are
    copied, replaced or removed.
    """
    named = workspace.REGISTRY_ARTIFACTS / source.removeprefix(SCHEME).lstrip("/")
    root = workspace.REGISTRY_ARTIFACTS.resolve()
    if root not in named.resolve().parents:
        raise Failure(
            f"the registry names {source} as the place of a version's files, outside of {root}; restore the store"
        )
    return named


def keep(source: str, files: Path) -> None:
    """Copy a folder of files to the store, as a whole or not at all."""
    sweep(workspace.REGISTRY_ARTIFACTS, "**/.*")  # left by a process that was killed; a new run has its own folder
    with replacing(folder(source)) as scratch:
        shutil.copytree(files, scratch)


def copy(version: Version, to: Path) -> None:
    """Copy a version's files out of the store. Raise `Failure` if they are not there."""
    kept = folder(version.source)
    if not kept.is_dir():
        raise Failure(f"the files of version {version.number} are not in {kept}; run `delivery store pull`")
    with replacing(to) as scratch:
        shutil.copytree(kept, scratch)


def refuse_pruned(version: Version) -> None:
    """Raise `Failure` if the version's files were removed, with the commands that make its model again."""
    if version.pruned:
        again = f"`git checkout {version.commit[:12]}` and `dvc repro` make its model again"
        raise Failure(f"the files of version {version.number} were pruned on {version.pruned[:10]}; {again}")


def refuse_changed(version: Version, files: Path) -> None:
    """Raise `Failure` if the model or the bundle in this folder is not the one that was registered."""
    changed = digest(files / release.EXPORTED) != version.digest
    if changed or (version.release and release.digest(files) != version.release):
        raise Failure(f"the files of version {version.number} are not those that were registered; restore the store")
