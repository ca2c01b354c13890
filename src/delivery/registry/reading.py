"""Read the registry: versions, their metrics and files, and the runs of an experiment."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from delivery.core.files import replacing
from delivery.registry import client, integrity, stored
from delivery.registry.version import Lineage, Version, aliased, from_tags, pick

ENVIRONMENTS = ("production", "staging")  # the champion is the first of these that serves


class Run(Struct, frozen=True, kw_only=True):
    """A run of an experiment."""

    tags: Mapping[str, str]
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    status: str


def versions() -> list[Version]:
    """Return every version with its aliases, newest first."""
    mlflow = client.connected()
    numbers = mlflow.get_registered_model(client.MODEL).aliases
    known = [
        from_tags(
            str(entry.version),
            entry.tags,
            [alias for alias, number in numbers.items() if str(number) == str(entry.version)],
            description=entry.description or "",
            run=str(entry.run_id),
            source=str(entry.source),
        )
        for entry in mlflow.search_model_versions(f"name = '{client.MODEL}'")
    ]
    return sorted(known, key=lambda version: -int(version.number))


def find(which: str) -> Version:
    """Return a version by number or alias. Raise `Failure` that lists what exists, or if there is no registry."""
    client.refuse_absent()
    return pick(versions(), which)


def champion() -> Version | None:
    """Return what serves in production, else in staging, else None."""
    known = versions()
    return next(filter(None, (aliased(known, name) for name in ENVIRONMENTS)), None)


def metrics(version: Version) -> Mapping[str, float]:
    """Return the metrics of a version."""
    return dict(client.connected().get_run(version.run).data.metrics)


def lowest(lineage: Lineage) -> str:
    """Return the lowest version of this release, or an empty string; without a release, the lowest with this model."""
    same = [
        version.number
        for version in versions()
        if (version.release == lineage.release if lineage.release else version.digest == lineage.digest)
    ]
    return min(same, key=int, default="")


def runs(experiment: str, tags: Mapping[str, str] | None = None) -> list[Run]:
    """Return the runs of an experiment that have these tags."""
    with client.connection():
        return [
            Run(
                tags=run.data.tags,
                params=run.data.params,
                metrics=run.data.metrics,
                status=run.info.status,
            )
            for run in client.search(experiment, tags or {})
        ]


def download(version: Version, to: Path) -> Path:
    """Download a version's files into the folder `to` and return it.

    Raise `Failure` if they are gone, or are not what was registered or is recorded in git.
    """
    stored.refuse_pruned(version)
    if client.address():
        with replacing(to) as scratch:
            scratch.mkdir()
            path = download_unverified(version, scratch)
            shutil.copytree(path, scratch, dirs_exist_ok=True)
            shutil.rmtree(path)
    else:
        stored.copy(version, to)
    stored.refuse_changed(version, to)
    integrity.refuse_different(version)
    return to


def download_unverified(version: Version, to: Path) -> Path:
    """Return the folder inside `to` with a version's files as the server holds them."""
    return Path(client.connected().download_artifacts(version.run, client.MODEL, str(to)))
