"""The registry: a model is one version, an alias says what serves, and files are what was registered."""

import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import made
import pytest
import tracking
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from delivery.core import files, workspace
from delivery.core.errors import Failure
from delivery.deploy.targets.slots import free_port
from delivery.registry import registry, transitions

pytestmark = pytest.mark.xdist_group("registry")  # MLflow makes its tables once


def test_there_is_no_registry_until_there_is_one(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not registry.exists()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert registry.exists()


def test_the_same_model_twice_is_one_version(client: MlflowClient) -> None:
    folder = made.model_files("one")
    tags = {registry.DIGEST: files.digest(folder / "export")}
    assert registry.add(client, folder, tags, {}) == ("1", True)
    assert registry.add(client, folder, tags | {"git.commit": "other"}, {}) == ("1", False)
    assert made.version(client, "two") == "2"
    assert [str(version.version) for version in registry.versions(client)] == ["2", "1"]


def test_a_version_is_found_by_number_or_alias(client: MlflowClient) -> None:
    made.version(client, "one")
    made.version(client, "two")
    transitions.point(client, "staging", "1")
    assert str(registry.find(client, "2").version) == "2"
    assert str(registry.find(client, "staging").version) == "1"
    with pytest.raises(Failure, match=r"no version or alias production; it has 2, 1 \(staging\)"):
        registry.find(client, "production")


def test_an_empty_registry_says_so(client: MlflowClient) -> None:
    with pytest.raises(Failure, match="no version or alias 1; it has none yet"):
        registry.find(client, "1")
    assert registry.champion(client) is None


def test_the_champion_serves_in_production_else_in_staging(client: MlflowClient) -> None:
    for name in ("one", "two", "three"):
        made.version(client, name)
    assert registry.champion(client) is None, "a version that serves nowhere is nobody's champion"
    transitions.point(client, "development", "3")
    transitions.point(client, "staging", "2")
    champion = registry.champion(client)
    assert champion is not None
    assert str(champion.version) == "2"
    transitions.point(client, "production", "1")
    champion = registry.champion(client)
    assert champion is not None
    assert str(champion.version) == "1"


def test_the_same_model_from_two_at_once_is_one_version(client: MlflowClient, monkeypatch: pytest.MonkeyPatch) -> None:
    create = MlflowClient.create_run

    def overtaken(this: MlflowClient, *words, **more):
        monkeypatch.setattr(MlflowClient, "create_run", create)
        assert made.version(client, "one") == "1"
        return create(this, *words, **more)

    monkeypatch.setattr(MlflowClient, "create_run", overtaken)
    folder = made.model_files("one")
    assert registry.add(client, folder, {registry.DIGEST: files.digest(folder / "export")}, {}) == ("1", False)
    assert [str(version.version) for version in registry.versions(client)] == ["1"]


def test_who_comes_second_makes_the_change_again_and_other_errors_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry.random, "uniform", lambda low, high: 0)
    answers = iter([MlflowException("(psycopg.errors.UniqueViolation) duplicate key"), "made"])

    def change() -> str:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return str(answer)

    assert registry.insist(change) == "made"
    answers = iter([MlflowException("no space left"), "never"])
    with pytest.raises(MlflowException, match="no space left"):
        registry.insist(change)
    assert next(answers) == "never"


def test_a_download_is_what_was_registered(client: MlflowClient) -> None:
    number = made.version(client, "one")
    to = registry.download(client, registry.find(client, number), Path("here"))
    assert files.digest(to) == files.digest(Path("models/one"))


def kept() -> Path:
    return next(workspace.REGISTRY_ARTIFACTS.rglob("model.onnx"))


def test_files_that_were_tampered_with_are_refused(client: MlflowClient) -> None:
    number = made.version(client, "one")
    kept().write_text("another model")
    with pytest.raises(Failure, match="the files of version 1 are not those that were registered; restore the store"):
        registry.download(client, registry.find(client, number), Path("here"))


def test_files_that_are_gone_say_how_to_get_them(client: MlflowClient) -> None:
    number = made.version(client, "one")
    shutil.rmtree(workspace.REGISTRY_ARTIFACTS)
    with pytest.raises(Failure, match=r"the files of version 1 are not in .*; run `delivery store pull`"):
        registry.download(client, registry.find(client, number), Path("here"))
    assert not Path("here").exists()


def test_long_tags_are_kept(client: MlflowClient) -> None:
    """An environment's history grows by 26 characters with each deployment: 2,000 of them must fit."""
    number = made.version(client, "one")
    registry.tag(client, number, {"staging.since": "x" * 52_000})
    assert len(registry.find(client, number).tags["staging.since"]) == 52_000


def test_a_store_that_was_pulled_meanwhile_is_read_anew(client: MlflowClient, fresh: Path) -> None:
    """Who comes second registers again, in the same process, on another database in the same place."""
    made.version(client, "one")
    workspace.REGISTRY_DATABASE.unlink()
    shutil.copy(fresh, workspace.REGISTRY_DATABASE)
    again = registry.connect()
    assert registry.versions(again) == []
    assert made.version(again, "two") == "1"


def test_the_store_may_move(client: MlflowClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    number = made.version(client, "one")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / ".store").rename(tmp_path / "elsewhere" / ".store")
    monkeypatch.chdir(tmp_path / "elsewhere")
    moved = registry.connect()
    to = registry.download(moved, registry.find(moved, number), Path("here"))
    assert (to / "export" / "model.onnx").read_text() == "one"


@pytest.mark.parametrize("content", ["not a database" * 500, "version https://git-lfs"])
def test_a_broken_database_is_one_line(content: str, folder: Path) -> None:
    files.write(workspace.REGISTRY_DATABASE, content)
    with pytest.raises(
        Failure, match=r"the registry at sqlite:.* does not answer: .*file is not a database"
    ) as failure:
        registry.connect()
    assert "\n" not in str(failure.value)


def test_a_server_that_is_not_there_is_one_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(Failure, match=r"the registry at http://127\.0\.0\.1:\d+ does not answer") as failure:
        registry.connect()
    assert "\n" not in str(failure.value)


@pytest.fixture
def server(client: MlflowClient, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A real `mlflow server` over a store that holds one version."""
    made.version(client, "one")
    database = f"sqlite:///{workspace.REGISTRY_DATABASE}"
    with tracking.server(database, "--artifacts-destination", str(workspace.REGISTRY_ARTIFACTS)) as address:
        yield address


def test_a_server_over_the_store_shows_its_files_and_is_used_as_it_is(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = MlflowClient(f"sqlite:///{workspace.REGISTRY_DATABASE.resolve()}").get_model_version("model", "1").run_id
    address = (
        f"{server}/api/2.0/mlflow-artifacts/artifacts/{registry.EXPERIMENT}/{run}/artifacts/model/export/model.onnx"
    )
    with urllib.request.urlopen(address) as reply:
        assert reply.read() == b"one", "what was written in place is what a person sees"

    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    client = registry.connect()
    assert made.version(client, "one") == "1"
    assert made.version(client, "two") == "2"
    transitions.point(client, "staging", "2")
    for number, name in (("1", "one"), ("staging", "two")):
        to = registry.download(client, registry.find(client, number), Path("here") / name)
        assert files.digest(to) == files.digest(Path("models") / name)

    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    local = registry.connect()
    to = registry.download(local, registry.find(local, "staging"), Path("here") / "again")
    assert (to / "export" / "model.onnx").read_text() == "two", "and what came through the server is in its place"
