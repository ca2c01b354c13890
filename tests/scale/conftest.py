"""The engines, each started once, and an empty place to work in. Without the set `scale` these tests skip."""

import os
from collections.abc import Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import engines
import pytest
import tracking


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    absent = engines.absent()
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.xdist_group("scale"))  # the engines start once
            if absent:
                item.add_marker(pytest.mark.skip(absent))


@pytest.fixture(scope="session")
def bucket() -> Iterator[str]:
    """The address of an S3 server that has one bucket."""
    with engines.s3() as address:
        urlopen(Request(f"{address}/{engines.BUCKET}", method="PUT")).close()
        yield address


@pytest.fixture(scope="session")
def server(needs_postgresql: None, bucket: str) -> Iterator[str]:
    """MLflow's server as docs/how-to/scale.md sets it up: records in PostgreSQL, artifacts in S3."""
    keys = engines.KEYS | {"MLFLOW_S3_ENDPOINT_URL": bucket}
    with (
        engines.postgresql() as database,
        tracking.server(database, "--artifacts-destination", f"s3://{engines.BUCKET}/mlflow", **keys) as address,
    ):
        yield address


@pytest.fixture(scope="session")
def scheduler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Dask cluster of two workers, which come again when they are killed."""
    with engines.dask(tmp_path_factory.mktemp("dask"), 2) as (address, _):
        yield address


@pytest.fixture
def workers(scheduler: str) -> str:
    """The cluster, whose workers are both there: for a single one joblib would send nothing."""
    from distributed import Client

    with Client(scheduler, set_as_default=False) as client:
        client.wait_for_workers(2, 60)
    return scheduler


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, which is the current one, and nothing of the person's own settings."""
    for name in os.environ:
        if name.startswith(("AWS_", "GITHUB_", "GIT_", "MLFLOW_", "DVC_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "dvc"))
    place = tmp_path / "project"
    place.mkdir()
    monkeypatch.chdir(place)
    return place
