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
from msgspec.structs import replace

from delivery.core import files, retries, workspace
from delivery.core.errors import Failure
from delivery.deploy.targets.loopback import free_port
from delivery.registry import client, registry, transitions
from delivery.registry.version import Lineage

pytestmark = pytest.mark.xdist_group("registry")  # MLflow makes its tables once


def test_a_registry_exists_with_a_database_or_a_server(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not registry.exists()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert registry.exists()


def test_the_same_model_twice_is_one_version(empty_registry: None) -> None:
    folder = made.model_files("one")
    lineage = Lineage(digest=files.digest(folder / "export"))
    assert registry.add(folder, lineage, {}) == ("1", True)
    assert registry.add(folder, replace(lineage, commit="other"), {}) == ("1", False)
    assert made.version("two") == "2"
    assert [version.number for version in registry.versions()] == ["2", "1"]


def test_a_version_is_found_by_number_or_alias(empty_registry: None) -> None:
    made.version("one")
    made.version("two")
    transitions.point("staging", "1")
    assert registry.find("2").number == "2"
    assert registry.find("staging").number == "1"
    with pytest.raises(Failure, match=r"no version or alias production; it has 2, 1 \(staging\)"):
        registry.find("production")


def test_an_empty_registry_has_no_versions_and_no_champion(empty_registry: None) -> None:
    with pytest.raises(Failure, match="no version or alias 1; it has none yet"):
        registry.find("1")
    assert registry.champion() is None


def test_the_champion_serves_in_production_else_in_staging(empty_registry: None) -> None:
    for name in ("one", "two", "three"):
        made.version(name)
    assert registry.champion() is None, "a version that serves nowhere is nobody's champion"
    transitions.point("development", "3")
    transitions.point("staging", "2")
    champion = registry.champion()
    assert champion is not None
    assert champion.number == "2"
    transitions.point("production", "1")
    champion = registry.champion()
    assert champion is not None
    assert champion.number == "1"


def test_the_same_model_from_two_at_once_is_one_version(empty_registry: None, monkeypatch: pytest.MonkeyPatch) -> None:
    create = MlflowClient.create_run

    def overtaken(this: MlflowClient, *words, **more):
        monkeypatch.setattr(MlflowClient, "create_run", create)
        assert made.version("one") == "1"
        return create(this, *words, **more)

    monkeypatch.setattr(MlflowClient, "create_run", overtaken)
    folder = made.model_files("one")
    assert registry.add(folder, Lineage(digest=files.digest(folder / "export")), {}) == ("1", False)
    assert [version.number for version in registry.versions()] == ["1"]


def test_a_lost_race_is_retried_and_other_errors_are_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "sleep", lambda seconds: None)
    answers = iter([MlflowException("(psycopg.errors.UniqueViolation) duplicate key"), "made"])

    def change() -> str:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return str(answer)

    assert client.insist(change) == "made"
    answers = iter([MlflowException("no space left"), "never"])
    with pytest.raises(MlflowException, match="no space left"):
        client.insist(change)
    assert next(answers) == "never"


def test_a_download_is_what_was_registered(empty_registry: None) -> None:
    number = made.version("one")
    to = registry.download(registry.find(number), Path("here"))
    assert files.digest(to) == files.digest(Path("models/one"))


def kept() -> Path:
    return next(workspace.REGISTRY_ARTIFACTS.rglob("model.onnx"))


def test_files_that_were_tampered_with_are_refused(empty_registry: None) -> None:
    number = made.version("one")
    kept().write_text("another model")
    with pytest.raises(Failure, match="the files of version 1 are not those that were registered; restore the store"):
        registry.download(registry.find(number), Path("here"))


def test_missing_files_are_reported_with_the_fix(empty_registry: None) -> None:
    number = made.version("one")
    shutil.rmtree(workspace.REGISTRY_ARTIFACTS)
    with pytest.raises(Failure, match=r"the files of version 1 are not in .*; run `delivery store pull`"):
        registry.download(registry.find(number), Path("here"))
    assert not Path("here").exists()


def test_long_tags_are_kept(empty_registry: None) -> None:
    """An environment's history grows by 26 characters with each deployment: 2,000 of them must fit."""
    number = made.version("one")
    registry.tag(number, {"staging.since": "x" * 52_000})
    assert len(registry.find(number).tags["staging.since"]) == 52_000


def test_a_store_that_was_pulled_meanwhile_is_read_again(empty_registry: None, fresh: Path) -> None:
    """A writer that loses the race registers again in the same process, on another database at the same path."""
    made.version("one")
    workspace.REGISTRY_DATABASE.unlink()
    shutil.copy(fresh, workspace.REGISTRY_DATABASE)
    assert registry.versions() == []
    assert made.version("two") == "1"


def test_the_store_may_move(empty_registry: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    number = made.version("one")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / ".store").rename(tmp_path / "elsewhere" / ".store")
    monkeypatch.chdir(tmp_path / "elsewhere")
    to = registry.download(registry.find(number), Path("here"))
    assert (to / "export" / "model.onnx").read_text() == "one"


@pytest.mark.parametrize("content", ["not a database" * 500, "version https://git-lfs"])
def test_a_broken_database_is_reported_in_one_line(content: str, folder: Path) -> None:
    files.write(workspace.REGISTRY_DATABASE, content)
    with pytest.raises(
        Failure, match=r"the registry at sqlite:.* does not answer: .*file is not a database"
    ) as failure:
        registry.versions()
    assert "\n" not in str(failure.value)


def test_an_unreachable_server_is_reported_in_one_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(Failure, match=r"the registry at http://127\.0\.0\.1:\d+ does not answer") as failure:
        registry.versions()
    assert "\n" not in str(failure.value)


@pytest.fixture
def server(empty_registry: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A real `mlflow server` over a store that holds one version."""
    made.version("one")
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
    assert made.version("one") == "1"
    assert made.version("two") == "2"
    transitions.point("staging", "2")
    for number, name in (("1", "one"), ("staging", "two")):
        to = registry.download(registry.find(number), Path("here") / name)
        assert files.digest(to) == files.digest(Path("models") / name)

    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    to = registry.download(registry.find("staging"), Path("here") / "again")
    assert (to / "export" / "model.onnx").read_text() == "two", "and what came through the server is in its place"
