"""Connect to MLflow: the only module that imports mlflow or names its types.

With MLFLOW_TRACKING_URI that server is used as it is. Without it the registry is the sqlite database and the
artifacts folder of the store. They are read and written in place: `mlflow server` over that folder shows the same
versions and artifacts, and takes ten seconds to start, which a rollback cannot afford.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from delivery.core import retries, workspace
from delivery.core.errors import Failure, RegistryError
from delivery.core.files import replacing
from delivery.registry import stored

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run as MlflowRun

EXPERIMENT = "delivery"  # of the runs of all versions
MODEL = "model"  # the registered model's name, and the folder of its files among a run's artifacts
REFUSALS = ("UNAUTHENTICATED", "PERMISSION_DENIED")  # MLflow's words for the statuses 401 and 403
TRIES = 8  # of a change that clashes with another writer's
RUNS = 50_000  # the most that MLflow returns at once
# MLflow passes on what a server's database tells a writer that lost the race as text, without a code.
CLASHES = ("UniqueViolation", "UNIQUE constraint", "PendingRollback", "deadlock", "Giving up", "already exists")

Answer = TypeVar("Answer")
_open: ContextVar[MlflowClient | None] = ContextVar("_open", default=None)


def address() -> str | None:
    """Return the address in MLFLOW_TRACKING_URI, or None for the store."""
    return os.environ.get("MLFLOW_TRACKING_URI") or None


def exists() -> bool:
    """Return whether there is a registry: a server that is set, or a database in the store."""
    return address() is not None or workspace.REGISTRY_DATABASE.exists()


def refuse_absent() -> None:
    """Raise `Failure` if there is no registry, before anybody who expects versions in it creates an empty one."""
    if not exists():
        raise Failure(f"there is no registry: {workspace.REGISTRY_DATABASE} is missing; run `delivery store pull`")


def sqlite(path: Path) -> str:
    """Return MLflow's address of a database file."""
    return f"sqlite:///{path.resolve()}"


@contextmanager
def connection(uri: str = "") -> Iterator[None]:
    """Use one connection for every call inside the block, to `uri` if it is given.

    Outside of a block each function connects by itself. Raise `Failure` if the registry does not answer.
    """
    token = _open.set(_connect(uri) if uri else connected())
    try:
        yield
    finally:
        _open.reset(token)


def connected() -> MlflowClient:
    """Return the connection of the block, or a new one. Raise `Failure` if the registry does not answer."""
    return _open.get() or _connect()


def _connect(uri: str = "") -> MlflowClient:
    """Connect to `uri`, else the server that is set, else the store. Raise `Failure` if it does not answer."""
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # where JSON is expected
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")  # where one line is expected
    # A pull replaces the database file; a pooled connection would go on with the old one.
    os.environ.setdefault("MLFLOW_SQLALCHEMYSTORE_POOLCLASS", "NullPool")
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    for name in ("alembic", "mlflow"):  # after the import, which sets its own level
        logging.getLogger(name).setLevel(logging.WARNING)
    uri = uri or address() or sqlite(workspace.REGISTRY_DATABASE)
    try:
        if uri == sqlite(workspace.REGISTRY_DATABASE) and not workspace.REGISTRY_DATABASE.exists():
            # MLflow cannot finish a migration that was interrupted.
            with replacing(workspace.REGISTRY_DATABASE) as scratch:
                MlflowClient(sqlite(scratch), sqlite(scratch)).search_registered_models()
        client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        insist(lambda: _ensure_model(client))
    except (MlflowException, SQLAlchemyError) as error:
        message = f"the registry at {uri} does not answer: {str(error).splitlines()[0]}"
        raise RegistryError(message, refused=getattr(error, "error_code", "") in REFUSALS) from None
    return client


def _ensure_model(client: MlflowClient) -> None:
    if not client.search_registered_models(f"name = '{MODEL}'"):
        client.create_registered_model(MODEL)


def insist(change: Callable[[], Answer]) -> Answer:
    """Repeat a change that a server has refused because another writer was a moment faster."""
    from mlflow.exceptions import MlflowException

    def overtaken(error: BaseException) -> bool:
        return isinstance(error, MlflowException) and any(word in str(error) for word in CLASHES)

    return retries.call(change, attempts=TRIES, worth=overtaken, jitter=0.05)


def experiment_id(name: str) -> str:
    """Return the id of an experiment; create the experiment if it does not exist."""
    client = connected()
    location = None if address() else f"{stored.SCHEME}/{name}"

    def ensure() -> str:
        known = client.get_experiment_by_name(name)
        return known.experiment_id if known else client.create_experiment(name, artifact_location=location)

    return insist(ensure)


def new_run(name: str = "", tags: Mapping[str, str] | None = None) -> MlflowRun:
    """Start a run of the experiment that all versions belong to."""
    return connected().create_run(experiment_id(EXPERIMENT), run_name=name or None, tags=dict(tags or {}))


def search(experiment: str, tags: Mapping[str, str]) -> list[MlflowRun]:
    """Return the runs of an experiment that have these tags."""
    query = " and ".join(f"tags.`{key}` = '{value}'" for key, value in tags.items())
    return list(connected().search_runs([experiment_id(experiment)], query, max_results=RUNS))


def log_results(run: str, settings: Mapping[str, object], measured: Mapping[str, float]) -> None:
    """Record settings and metrics of the run with this id, in one request."""
    from mlflow.entities import Metric, Param

    now = int(time.time() * 1000)
    connected().log_batch(
        run,
        [Metric(key, value, now, 0) for key, value in measured.items()],
        [Param(key, str(value)) for key, value in settings.items()],
    )


def add_version(run: MlflowRun, tags: Mapping[str, str], description: str = "") -> str:
    """Add a version whose files are those of the run; return its number."""
    source = f"{run.info.artifact_uri}/{MODEL}"
    made = connected().create_model_version(
        MODEL, source, run.info.run_id, tags=dict(tags), description=description or None
    )
    return str(made.version)
