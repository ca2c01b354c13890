"""The registry: MLflow's, and the only module that imports mlflow.

With MLFLOW_TRACKING_URI the server there is used as it is. Without it the registry is the sqlite
database and the artifacts folder of the store. They are read and written in place: `mlflow server`
over that folder shows the same versions and artifacts, and takes ten seconds to start, which a
rollback does not have.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from delivery.errors import Failure
from delivery.files import STORE, replacing, sweep

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

DATABASE = STORE / "mlflow" / "mlflow.db"
ARTIFACTS = STORE / "mlflow" / "artifacts"
SCHEME = "mlflow-artifacts:"
EXPERIMENT = "delivery"
MODEL = "model"  # the registered model's name, and the folder of its files among a run's artifacts
DIGEST = "model.digest"
PRUNED = "files.pruned"
DESCRIPTION = 5000
ENVIRONMENTS = ("production", "staging")  # the champion is the first of these that serves


def address() -> str | None:
    """The server that is set, or None for the store."""
    return os.environ.get("MLFLOW_TRACKING_URI") or None


def exists() -> bool:
    """Whether there is a registry to ask: a server that is set, or a database in the store."""
    return address() is not None or DATABASE.exists()


def sqlite(path: Path) -> str:
    return f"sqlite:///{path.resolve()}"


def connect() -> MlflowClient:
    """Raises Failure when the registry does not answer."""
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    # A pull puts another file in the database's place; a pooled connection would go on with the old one.
    os.environ.setdefault("MLFLOW_SQLALCHEMYSTORE_POOLCLASS", "NullPool")
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    for name in ("alembic", "mlflow"):  # after the import, which sets its own level
        logging.getLogger(name).setLevel(logging.WARNING)
    uri = address() or sqlite(DATABASE)
    try:
        if address() is None and not DATABASE.exists():
            with replacing(DATABASE) as scratch:  # MLflow cannot finish a migration that was interrupted
                MlflowClient(sqlite(scratch), sqlite(scratch)).search_registered_models()
        client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        if not client.search_registered_models(f"name = '{MODEL}'"):
            client.create_registered_model(MODEL)
    except (MlflowException, SQLAlchemyError) as error:
        if getattr(error, "error_code", None) != "RESOURCE_ALREADY_EXISTS":
            raise Failure(f"the registry at {uri} does not answer: {str(error).splitlines()[0]}") from None
    return client


def versions(client: MlflowClient) -> list[ModelVersion]:
    """Every version, newest first, with its aliases."""
    found = client.search_model_versions(f"name = '{MODEL}'")
    aliases = client.get_registered_model(MODEL).aliases
    for version in found:
        version.aliases = sorted(alias for alias, number in aliases.items() if str(number) == str(version.version))
    return sorted(found, key=lambda version: -int(version.version))


def find(client: MlflowClient, which: str) -> ModelVersion:
    """A version by number or alias. Raises Failure with what there is."""
    known = versions(client)
    for version in known:
        if which == str(version.version) or which in version.aliases:
            return version
    there = ", ".join(str(version.version) + "".join(f" ({alias})" for alias in version.aliases) for version in known)
    raise Failure(f"the registry has no version or alias {which}; it has {there or 'none yet'}")


def champion(client: MlflowClient) -> ModelVersion | None:
    """What serves in production, else in staging, else nothing."""
    by_alias = {alias: version for version in versions(client) for alias in version.aliases}
    return next((by_alias[name] for name in ENVIRONMENTS if name in by_alias), None)


def add(client: MlflowClient, files: Path, tags: Mapping[str, str], metrics: Mapping[str, float]) -> tuple[str, bool]:
    """The version of this model, and whether it is new: the same digest twice is one version.

    `files` is a folder whose content is kept as the version's artifacts.
    """
    for version in versions(client):
        if version.tags.get(DIGEST) == tags[DIGEST]:
            return str(version.version), False
    run = client.create_run(_experiment(client), run_name=tags.get("git.commit", "")[:12])
    for name, value in metrics.items():
        client.log_metric(run.info.run_id, name, value)
    _keep(client, run.info.run_id, run.info.artifact_uri, files)
    client.set_terminated(run.info.run_id)
    source = f"{run.info.artifact_uri}/{MODEL}"
    version = client.create_model_version(MODEL, source, run.info.run_id, tags=dict(tags))
    return str(version.version), True


def _experiment(client: MlflowClient) -> str:
    if found := client.get_experiment_by_name(EXPERIMENT):
        return found.experiment_id
    location = None if address() else f"{SCHEME}/{EXPERIMENT}"
    return client.create_experiment(EXPERIMENT, artifact_location=location)


def _keep(client: MlflowClient, run_id: str, uri: str, files: Path) -> None:
    if address():
        client.log_artifacts(run_id, str(files), MODEL)
        return
    sweep(ARTIFACTS, "**/.*")  # of a process that was killed: its run has another folder
    with replacing(_local(uri) / MODEL) as scratch:
        shutil.copytree(files, scratch)


def _local(uri: str) -> Path:
    """Where `mlflow server --artifacts-destination` keeps an mlflow-artifacts address."""
    return ARTIFACTS / uri.removeprefix(SCHEME).lstrip("/")


def download(client: MlflowClient, version: ModelVersion, to: Path) -> Path:
    """The version's files. Raises Failure when they are gone or not what was registered."""
    from delivery.files import digest

    if address():
        with replacing(to) as scratch:
            scratch.mkdir()
            path = client.download_artifacts(str(version.run_id), MODEL, str(scratch))
            shutil.copytree(path, scratch, dirs_exist_ok=True)
            shutil.rmtree(path)
    else:
        kept = _local(str(version.source))
        if when := version.tags.get(PRUNED):
            again = f"`git checkout {version.tags['git.commit'][:12]}` and `dvc repro` make its model again"
            raise Failure(f"the files of version {version.version} were pruned on {when[:10]}; {again}")
        if not kept.is_dir():
            raise Failure(
                f"the files of version {version.version} are not in {kept}; run `python -m delivery store pull`"
            )
        with replacing(to) as scratch:
            shutil.copytree(kept, scratch)
    if digest(to / "export") != version.tags[DIGEST]:
        raise Failure(f"the files of version {version.version} are not those that were registered; restore the store")
    return to


def forget(version: ModelVersion, spare: Collection[str]) -> None:
    """Removes a version's files from the store but those that are spared."""
    for path in _local(str(version.source)).iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name not in spare:
            path.unlink()


def point(client: MlflowClient, alias: str, version: str, how: str = "by hand") -> None:
    """Moves an alias; the history of an environment, and who made it and how, stay as tags of its versions."""
    from delivery.records import executor, now

    client.set_registered_model_alias(MODEL, alias, version)
    known, moment = client.get_model_version(MODEL, version).tags, now()
    client.set_model_version_tag(
        MODEL, version, f"{alias}.since", f"{known.get(f'{alias}.since', '')} {moment}".strip()
    )
    line = f"{moment}\t{' '.join(how.split())}\t{executor()}"
    client.set_model_version_tag(MODEL, version, f"{alias}.moved", f"{known.get(f'{alias}.moved', '')}\n{line}".strip())


def moved(tags: Mapping[str, str], alias: str, time: str) -> tuple[str, str]:
    """How and by whom a version came to an environment at that time; empty where it is not on record."""
    lines = [line.split("\t") for line in tags.get(f"{alias}.moved", "").splitlines()]
    return next(((how, who) for moment, how, who in lines if moment == time), ("", ""))


def tag(client: MlflowClient, version: str, tags: Mapping[str, str]) -> None:
    for name, value in tags.items():
        client.set_model_version_tag(MODEL, version, name, value)


def describe(client: MlflowClient, version: str, text: str) -> None:
    """What MLflow's page of the version says; PostgreSQL holds 5,000 characters of it, cut at a line's end."""
    if len(text) > DESCRIPTION:
        text = text[: text.rfind("\n", 0, DESCRIPTION - 80)] + "\n\nThe whole of it is among the version's files."
    client.update_model_version(MODEL, version, description=text)


def history(found: Iterable[ModelVersion], alias: str) -> list[tuple[str, str]]:
    """(time, version) of each time that an environment got a version, oldest first."""
    moments = [
        (time, str(version.version)) for version in found for time in version.tags.get(f"{alias}.since", "").split()
    ]
    return sorted(moments, key=lambda moment: (moment[0], int(moment[1])))
