"""Write the registry: versions, tags, aliases, and the runs of an experiment."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from delivery.registry import client, stored
from delivery.registry.reading import lowest
from delivery.registry.version import Lineage, Version, gap_tags, lineage_tags

MIGRATED = "migrated.version"  # a run's tag: the version of the store that it was made for
DESCRIPTION = 5000  # characters of a version's text that PostgreSQL holds


def add(files: Path, lineage: Lineage, measured: Mapping[str, float]) -> tuple[str, bool]:
    """Return the number of this release's version and whether it is new.

    The same release twice is one version, the lowest. The content of the folder `files` becomes its artifacts.
    """
    with client.connection():
        if known := lowest(lineage):
            return known, False
        mlflow = client.connected()
        run = client.new_run(lineage.commit[:12])
        for name, value in measured.items():
            mlflow.log_metric(run.info.run_id, name, value)
        source = f"{run.info.artifact_uri}/{client.MODEL}"
        if client.address():
            mlflow.log_artifacts(run.info.run_id, str(files), client.MODEL)
        else:
            stored.keep(source, files)
        mlflow.set_terminated(run.info.run_id)
        tags = dict(lineage_tags(lineage))
        mine = client.insist(lambda: client.add_version(run, tags))
        first = lowest(lineage) or mine
        if first != mine:  # another writer had it between the question and the answer
            delete(mine)
        return first, first == mine


def tag(number: str, tags: Mapping[str, str]) -> None:
    """Set tags of a version. Callers outside of this room use a function that says what it records."""
    mlflow = client.connected()

    def change() -> None:
        for key, value in tags.items():
            mlflow.set_model_version_tag(client.MODEL, number, key, value)

    client.insist(change)


def point(alias: str, number: str) -> None:
    """Set an alias."""
    mlflow = client.connected()
    client.insist(lambda: mlflow.set_registered_model_alias(client.MODEL, alias, number))


def unpoint(alias: str) -> None:
    """Remove an alias."""
    mlflow = client.connected()
    client.insist(lambda: mlflow.delete_registered_model_alias(client.MODEL, alias))


def record_image(number: str, image: str) -> None:
    """Set the image that was built from a version."""
    tag(number, lineage_tags(Lineage(image=image)))


def describe(number: str, text: str) -> None:
    """Set the text of a version's page, cut at a line's end if it is longer than DESCRIPTION."""
    if len(text) > DESCRIPTION:
        text = text[: text.rfind("\n", 0, DESCRIPTION - 80)] + "\n\nThe whole of it is among the version's files."
    client.connected().update_model_version(client.MODEL, number, description=text)


def delete(number: str) -> None:
    """Delete a version; its run stays."""
    client.connected().delete_model_version(client.MODEL, number)


def add_run(
    experiment: str, name: str, tags: Mapping[str, str], *,
    settings: Mapping[str, object], measured: Mapping[str, float], status: str,
) -> None:  # fmt: skip
    """Record a run that has ended: its settings and metrics in one request, then its status."""
    with client.connection():
        mlflow = client.connected()
        run_id = mlflow.create_run(client.experiment_id(experiment), tags=dict(tags), run_name=name).info.run_id
        client.log_results(run_id, settings, measured)
        mlflow.set_terminated(run_id, status)


def add_copy(version: Version, measured: Mapping[str, float], files: Path) -> str:
    """Add a version of another registry with its run, metrics, files, tags and description; return its number here.

    A run that an interrupted copy has left is found by its tag and completed.
    """
    with client.connection():
        mlflow = client.connected()
        begun = client.search(client.EXPERIMENT, {MIGRATED: version.number})
        tags = {MIGRATED: version.number}
        run = begun[0] if begun else client.new_run(version.commit[:12], tags)
        for name, value in measured.items():
            if name not in run.data.metrics:
                mlflow.log_metric(run.info.run_id, name, value)
        mlflow.log_artifacts(run.info.run_id, str(files), client.MODEL)
        mlflow.set_terminated(run.info.run_id)
        return client.add_version(run, version.tags, version.description)


def add_gap() -> str:
    """Add a version that stands for a deleted one; return its number."""
    with client.connection():
        run = client.new_run()
        client.connected().set_terminated(run.info.run_id)
        return client.add_version(run, gap_tags())
