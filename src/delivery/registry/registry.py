"""The registry: MLflow's, and the only module that imports mlflow.

With MLFLOW_TRACKING_URI the server there is used as it is. Without it the registry is the sqlite
database and the artifacts folder of the store. They are read and written in place: `mlflow server`
over that folder shows the same versions and artifacts, and takes ten seconds to start, which a
rollback does not have.
"""

from __future__ import annotations

import logging
import os
import random
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from delivery.core import workspace
from delivery.core.errors import Failure
from delivery.core.files import digest, replacing, sweep

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

SCHEME = "mlflow-artifacts:"
EXPERIMENT = "delivery"
MODEL = "model"  # the registered model's name, and the folder of its files among a run's artifacts
DIGEST = "model.digest"
PRUNED = "files.pruned"
DESCRIPTION = 5000
ENVIRONMENTS = ("production", "staging")  # the champion is the first of these that serves
TRIES = 8
# What a server's database says to who comes second, in MLflow's replies.
CLASHES = ("UniqueViolation", "UNIQUE constraint", "PendingRollback", "deadlock", "Giving up", "already exists")

Answer = TypeVar("Answer")


def address() -> str | None:
    """The server that is set, or None for the store."""
    return os.environ.get("MLFLOW_TRACKING_URI") or None


def exists() -> bool:
    """Whether there is a registry to ask: a server that is set, or a database in the store."""
    return address() is not None or workspace.REGISTRY_DATABASE.exists()


def sqlite(path: Path) -> str:
    return f"sqlite:///{path.resolve()}"


def connect(uri: str = "") -> MlflowClient:
    """The registry at `uri`, else the server that is set, else the store's. Raises Failure when it does not answer."""
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # where JSON is expected
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")  # where one line is
    # A pull puts another file in the database's place; a pooled connection would go on with the old one.
    os.environ.setdefault("MLFLOW_SQLALCHEMYSTORE_POOLCLASS", "NullPool")
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    for name in ("alembic", "mlflow"):  # after the import, which sets its own level
        logging.getLogger(name).setLevel(logging.WARNING)
    uri = uri or address() or sqlite(workspace.REGISTRY_DATABASE)
    try:
        if uri == sqlite(workspace.REGISTRY_DATABASE) and not workspace.REGISTRY_DATABASE.exists():
            with replacing(
                workspace.REGISTRY_DATABASE
            ) as scratch:  # MLflow cannot finish a migration that was interrupted
                MlflowClient(sqlite(scratch), sqlite(scratch)).search_registered_models()
        client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        insist(lambda: _model(client))
    except (MlflowException, SQLAlchemyError) as error:
        raise Failure(f"the registry at {uri} does not answer: {str(error).splitlines()[0]}") from None
    return client


def _model(client: MlflowClient) -> None:
    if not client.search_registered_models(f"name = '{MODEL}'"):
        client.create_registered_model(MODEL)


def insist(change: Callable[[], Answer]) -> Answer:
    """Makes a change again that a server has refused because another writer was faster by a moment."""
    from mlflow.exceptions import MlflowException

    for attempt in range(TRIES):
        try:
            return change()
        except MlflowException as error:
            if attempt == TRIES - 1 or not any(word in str(error) for word in CLASHES):
                raise
        time.sleep(random.uniform(0, 0.05 * 2**attempt))  # noqa: S311  two that met once should not meet again
    raise AssertionError


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
    """The version of this model, and whether it is new: the same digest twice is one version, the lowest.

    `files` is a folder whose content is kept as the version's artifacts.
    """
    if known := _same(client, tags[DIGEST]):
        return known, False
    run = client.create_run(experiment(client, EXPERIMENT), run_name=tags.get("git.commit", "")[:12])
    for name, value in metrics.items():
        client.log_metric(run.info.run_id, name, value)
    _keep(client, run.info.run_id, run.info.artifact_uri, files)
    client.set_terminated(run.info.run_id)
    source = f"{run.info.artifact_uri}/{MODEL}"
    mine = str(insist(lambda: client.create_model_version(MODEL, source, run.info.run_id, tags=dict(tags))).version)
    first = _same(client, tags[DIGEST]) or mine
    if first != mine:  # another writer had it between the question and the answer
        client.delete_model_version(MODEL, mine)
    return first, first == mine


def _same(client: MlflowClient, of: str) -> str:
    """The lowest version with this digest, or nothing."""
    return min((str(v.version) for v in versions(client) if v.tags.get(DIGEST) == of), key=int, default="")


def tag(client: MlflowClient, version: str, tags: Mapping[str, str]) -> None:
    for name, value in tags.items():
        client.set_model_version_tag(MODEL, version, name, value)


def describe(client: MlflowClient, version: str, text: str) -> None:
    """What MLflow's page of the version says; PostgreSQL holds 5,000 characters of it, cut at a line's end."""
    if len(text) > DESCRIPTION:
        text = text[: text.rfind("\n", 0, DESCRIPTION - 80)] + "\n\nThe whole of it is among the version's files."
    client.update_model_version(MODEL, version, description=text)


def experiment(client: MlflowClient, name: str) -> str:
    """The id of the experiment, of which `delivery` has the runs of all versions; it is made where there is none."""
    location = None if address() else f"{SCHEME}/{name}"

    def get() -> str:
        found = client.get_experiment_by_name(name)
        return found.experiment_id if found else client.create_experiment(name, artifact_location=location)

    return insist(get)


def log(client: MlflowClient, run_id: str, settings: Mapping[str, object], metrics: Mapping[str, float]) -> None:
    """What a run was set to and what came of it, in one request."""
    from mlflow.entities import Metric, Param

    now = int(time.time() * 1000)
    client.log_batch(
        run_id,
        [Metric(key, value, now, 0) for key, value in metrics.items()],
        [Param(key, str(value)) for key, value in settings.items()],
    )


def _keep(client: MlflowClient, run_id: str, uri: str, files: Path) -> None:
    if address():
        client.log_artifacts(run_id, str(files), MODEL)
        return
    sweep(workspace.REGISTRY_ARTIFACTS, "**/.*")  # of a process that was killed: its run has another folder
    with replacing(_place(uri) / MODEL) as scratch:
        shutil.copytree(files, scratch)


def local(version: ModelVersion) -> Path:
    """The folder in the store with a version's files."""
    return _place(str(version.source))


def _place(uri: str) -> Path:
    """Where `mlflow server --artifacts-destination` keeps an mlflow-artifacts address."""
    return workspace.REGISTRY_ARTIFACTS / uri.removeprefix(SCHEME).lstrip("/")


def download(client: MlflowClient, version: ModelVersion, to: Path) -> Path:
    """The version's files. Raises Failure when they are gone or not what was registered."""
    if when := version.tags.get(PRUNED):
        again = f"`git checkout {version.tags['git.commit'][:12]}` and `dvc repro` make its model again"
        raise Failure(f"the files of version {version.version} were pruned on {when[:10]}; {again}")
    if address():
        with replacing(to) as scratch:
            scratch.mkdir()
            path = client.download_artifacts(str(version.run_id), MODEL, str(scratch))
            shutil.copytree(path, scratch, dirs_exist_ok=True)
            shutil.rmtree(path)
    else:
        kept = local(version)
        if not kept.is_dir():
            raise Failure(f"the files of version {version.version} are not in {kept}; run `delivery store pull`")
        with replacing(to) as scratch:
            shutil.copytree(kept, scratch)
    if digest(to / "export") != version.tags[DIGEST]:
        raise Failure(f"the files of version {version.version} are not those that were registered; restore the store")
    return to
