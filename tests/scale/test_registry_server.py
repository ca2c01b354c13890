"""MLflow on PostgreSQL with its artifacts in S3: several writers at once, and the store's versions moved there."""

import os
import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from uuid import uuid4

import pytest
from mlflow import MlflowClient

from delivery.__main__ import main
from delivery.core import files, workspace
from delivery.deploy import environments
from delivery.registry import client, registry, transitions
from delivery.registry.migrate import StoredVersion, stored_versions
from delivery.registry.version import Lineage, served

WRITERS = 8


@pytest.fixture
def clean(server: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The server, under names of this test's own."""
    own = uuid4().hex[:8]
    monkeypatch.setattr(client, "MODEL", f"model-{own}")
    monkeypatch.setattr(client, "EXPERIMENT", f"delivery-{own}")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    return server


def model(name: str) -> tuple[Path, Lineage]:
    folder = Path("models") / name
    if not folder.exists():
        files.write(folder / "export" / "model.onnx", name * 1000)
        files.write(folder / "card.md", f"# {name}")
    return folder, Lineage(digest=files.digest(folder / "export"), commit=f"commit of {name}")


def add(name: str) -> tuple[str, bool]:
    return registry.add(*model(name), {"auc": 0.75})


def promote(name: str) -> tuple[str, bool]:
    """As `promote apply` does it: registers, and points."""
    outcome = ("", False)

    def register() -> str:
        nonlocal outcome
        outcome = add(name)
        return outcome[0]

    environments.point("staging", register, "promote")
    return outcome


def at_once(names: list[str]) -> list[tuple[str, bool]]:
    """What each of the writers gets that all begin at the same moment."""
    barrier = Barrier(len(names))
    for name in names:
        model(name)

    def begin(name: str) -> tuple[str, bool]:
        barrier.wait()
        return promote(name)

    with ThreadPoolExecutor(len(names)) as pool:
        return list(pool.map(begin, names))


def test_eight_promotions_at_once_lose_no_version_and_leave_one_winner(clean: str) -> None:
    names = [f"model {number}" for number in range(WRITERS)]
    outcomes = at_once(names)
    found = registry.versions()
    assert sorted(int(version.number) for version in found) == list(range(1, WRITERS + 1)), "none is lost"
    by_digest = {version.digest: version for version in found}
    for name, outcome in zip(names, outcomes, strict=True):
        folder, lineage = model(name)
        kept = by_digest[lineage.digest]
        assert outcome == (kept.number, True), "who registered it was told its number"
        assert files.digest(registry.download(kept, Path("here"))) == files.digest(folder)
    history = served(found, "staging")
    assert {number for _, number in history} == {version.number for version in found}, "every move is on record"
    winner = registry.find("staging")
    assert winner.number == history[-1][1], "what serves is what the history says"
    assert [version.number for version in found if version.aliases] == [winner.number]


def test_the_same_model_from_eight_at_once_is_one_version(clean: str) -> None:
    outcomes = at_once(["same"] * WRITERS)
    assert {version for version, _ in outcomes} == {"1"}
    assert [new for _, new in outcomes].count(True) == 1
    assert [v.number for v in registry.versions()] == ["1"]


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database of an empty registry, which takes MLflow seconds to make."""
    path = tmp_path_factory.mktemp("tables") / "mlflow.db"
    MlflowClient(registry.sqlite(path)).search_registered_models()
    return path


@pytest.fixture
def store(clean: str, tables: Path, monkeypatch: pytest.MonkeyPatch) -> Mapping[int, StoredVersion]:
    """The store's registry with three versions, of which the second was deleted, and two aliases."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    workspace.REGISTRY_DATABASE.parent.mkdir(parents=True)
    shutil.copy(tables, workspace.REGISTRY_DATABASE)
    for name in ("one", "two", "three"):
        number, _ = add(name)
        registry.describe(number, f"The card of {name}")
        transitions.point("staging", number)
    transitions.point("production", "1")
    registry.delete("2")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", clean)
    return stored_versions()


def test_the_registry_moves_by_one_verb_also_after_a_kill(
    clean: str, store: Mapping[int, StoredVersion], capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The kill comes when the files of version 3 are there and the version is not.
    create = MlflowClient.create_model_version

    def killed(client: MlflowClient, *words, **more):
        if more["tags"].get("git.commit") == "commit of three":
            raise KeyboardInterrupt
        return create(client, *words, **more)

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "create_model_version", killed)
        assert main(["migrate", "registry"]) == 1
    assert main(["migrate", "registry"]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"migrate: 2 version(s), 1 of them new, and 2 alias(es) are on {clean}; ")

    assert [int(version.number) for version in registry.versions()] == list(store)
    for moved, original in zip(registry.versions(), store.values(), strict=True):
        for part in ("number", "tags", "aliases", "description"):
            assert getattr(moved, part) == getattr(original.version, part)
        assert registry.metrics(moved) == {"auc": 0.75}
        assert files.digest(registry.download(moved, Path("here"))) == files.digest(original.files)
    assert len(registry.runs(client.EXPERIMENT, {"migrated.version": "3"})) == 1
    assert add("four") == ("4", True), "and the numbers go on"

    assert main(["migrate", "registry"]) == 1, "a server that has gone on is not set back"
    assert "version 4 on http://" in capsys.readouterr().err


def test_files_that_are_not_what_was_registered_do_not_move(
    store: Mapping[int, StoredVersion], capsys: pytest.CaptureFixture
) -> None:
    (store[1].files / "export" / "model.onnx").write_text("another")
    assert main(["migrate", "registry"]) == 1
    assert "error: the store's files of version 1 are not those that were registered" in capsys.readouterr().err
    assert registry.versions() == []


def test_what_comes_out_different_on_the_server_is_found(
    store: Mapping[int, StoredVersion], capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = MlflowClient.log_artifacts

    def spoilt(client: MlflowClient, run_id: str, folder: str, place: str) -> None:
        upload(client, run_id, folder, place)
        broken = Path("broken")
        files.write(broken / "card.md", "# another")
        upload(client, run_id, str(broken), place)

    monkeypatch.setattr(MlflowClient, "log_artifacts", spoilt)
    assert main(["migrate", "registry"]) == 1
    said = capsys.readouterr().err
    assert "error: version 1 on http://" in said
    assert "has other files than the store" in said
    assert not [v for v in registry.versions() if v.aliases], "no alias moves before all is verified"


def test_without_a_server_to_go_to_it_says_so(folder: Path, capsys: pytest.CaptureFixture) -> None:
    assert "MLFLOW_TRACKING_URI" not in os.environ
    assert main(["migrate", "registry"]) == 1
    assert capsys.readouterr().err == (
        "error: MLFLOW_TRACKING_URI is not set; set it to the server that gets the versions\n"
    )
