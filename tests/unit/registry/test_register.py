"""Only a model that passed, and that a commit names, becomes a version."""

import json
import shutil
from pathlib import Path

import made
import pytest

from delivery.__main__ import main
from delivery.adapters import git, store
from delivery.core import files, params, workspace
from delivery.core.errors import Failure
from delivery.decision import baseline
from delivery.registry import register, registry, release

pytestmark = pytest.mark.xdist_group("registry")


def judged(verdict: str = "pass", **changes: object) -> None:
    """The gate's verdict on the model on disk."""
    result = json.loads(workspace.GATE.read_text()) | {"verdict": verdict, "model": files.digest(workspace.EXPORT)}
    files.write_json(workspace.GATE, result | changes)


def test_a_model_is_registered_once_with_its_evidence(ready: Path) -> None:
    digest = files.digest(workspace.EXPORT)
    with release.made() as folder:
        released = release.digest(folder)
    expected = register.Registration("1", new=True, alias="staging", digest=digest, release=released)
    assert register.run("staging") == expected
    assert register.run().new is False
    version = registry.find("staging")
    assert version.tags["git.commit"] == git.head()
    assert version.tags["compared.with"] == "there is no commit yet"
    assert version.tags["data.digest"] == "1" * 32 + ".dir"
    assert version.digest == files.digest(workspace.EXPORT)
    folder = registry.download(version, Path("here"))
    kept = {path.name for path in folder.iterdir()}
    assert {
        "export",
        "model.skops",
        "predictions.parquet",
        "metrics.json",
        "gate.json",
        "records.json",
        "card.md",
        "params.yaml",
    } <= kept
    written = (folder / "params.yaml").read_text()
    assert params.parse(written) == params.parse(Path("params.yaml").read_text())
    assert params.tree(written) == params.effective(params.tree(written)), "later defaults are not this version's"
    assert made.git("log", "--format=%s", cwd=workspace.STORE).splitlines()[0] == "Version 1 to staging"


def test_registering_the_serving_model_again_compares_it_with_nothing(ready: Path) -> None:
    register.run("staging")
    assert baseline.of_champion() == (None, "this is the champion, version 1")
    Path("Dockerfile").write_text("FROM another\n")
    chosen, _ = baseline.of_champion()
    assert chosen is not None, "the same model in another release is proven equal on the test rows"
    assert chosen.name == "version 1"
    judged()
    (workspace.EXPORT / "examples.json").write_text("[]")
    chosen, reason = baseline.of_champion()
    assert chosen is not None
    assert (chosen.name, chosen.commit, reason) == ("version 1", git.head(), "")
    assert chosen.model.exists()


def test_the_verdict_on_another_model_does_not_count(ready: Path) -> None:
    judged(model="another")
    with pytest.raises(Failure, match="the gate judged another model; run `delivery gate`"):
        register.run()


def test_a_model_that_failed_is_refused_and_the_rules_are_named(ready: Path) -> None:
    rules = [
        {"name": name, "verdict": verdict, "evidence": ""}
        for name, verdict in (("floor auc", "fail"), ("size", "warn"))
    ]
    judged("fail", rules=rules)
    with pytest.raises(Failure, match=r"the gate failed \(floor auc\); reports/gate\.md says why"):
        register.run()
    assert registry.versions() == []


def test_a_warning_does_not_stop_a_registration(ready: Path) -> None:
    judged("warn")
    assert register.run().version == "1"


def test_an_uncommitted_change_is_refused(ready: Path) -> None:
    Path("params.yaml").write_text(Path("params.yaml").read_text() + "# changed\n")
    with pytest.raises(register.Uncommitted, match=r"changed since the last commit: params\.yaml; commit"):
        register.run()


def test_a_repository_without_a_commit_is_refused(ready: Path) -> None:
    shutil.rmtree(".git")
    made.git("init", "--quiet")
    with pytest.raises(register.Uncommitted, match="there is no commit yet; commit first"):
        register.run()


def test_without_a_verdict_the_verb_is_named(ready: Path) -> None:
    workspace.GATE.unlink()
    with pytest.raises(Failure, match=r"gate\.json is missing; run `delivery gate` first"):
        register.run()


def test_without_a_store_one_is_made_and_the_project_gets_no_commit(ready: Path) -> None:
    Path("notes.txt").write_text("not for a commit")
    before = git.head()
    register.run()
    assert git.head() == before
    assert made.git("status", "--porcelain") == "?? notes.txt"
    assert made.git("log", "--format=%s", cwd=workspace.STORE).splitlines() == ["Version 1", "A new store"]


def test_a_model_that_the_store_cannot_hold_is_not_registered(ready: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made.git("remote", "add", "origin", "https://github.com/acme/demo.git")
    monkeypatch.setenv("DELIVERY_FILE_MB", str((workspace.EXPORT / "model.onnx").stat().st_size / 2**21))
    with pytest.raises(Failure, match=r"model\.onnx .*; keep the versions on a registry server"):
        register.run()
    assert not list(registry.versions())


def test_two_registrations_at_once_get_two_versions(
    ready: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    """The second one registers again on the newer registry, and prints its new number."""
    place = tmp_path_factory.mktemp("people")
    made.git("init", "--quiet", "--bare", str(place / "remote.git"))
    made.git("remote", "add", "origin", str(place / "remote.git"))
    store.pull()
    store.push("Begin")
    shutil.copytree(ready, place / "second", symlinks=True)
    assert main(["register", "--push", "--alias", "staging"]) == 0

    monkeypatch.chdir(place / "second")
    (workspace.EXPORT / "examples.json").write_text("[]")
    judged()
    capsys.readouterr()
    assert main(["register", "--push", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["version"] == "2"
    assert [version.number for version in registry.versions()] == ["2", "1"]
    assert registry.download(registry.find("staging"), Path("here")).is_dir()
    monkeypatch.chdir(ready)
    assert store.pull() == "store: updated"
    assert len(registry.versions()) == 2
