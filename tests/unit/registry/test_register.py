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
from delivery.registry import register, registry

pytestmark = pytest.mark.xdist_group("registry")


def judged(verdict: str = "pass", **changes: object) -> None:
    """The gate's word on the model that is there."""
    result = json.loads(workspace.GATE.read_text()) | {"verdict": verdict, "model": files.digest(workspace.EXPORT)}
    files.write_json(workspace.GATE, result | changes)


def test_a_model_is_registered_once_with_all_that_explains_it(ready: Path) -> None:
    assert register.run("staging") | {"digest": ""} == {"version": "1", "new": True, "alias": "staging", "digest": ""}
    assert register.run()["new"] is False
    client = registry.connect()
    version = registry.find(client, "staging")
    assert version.tags["git.commit"] == git.head()
    assert version.tags["compared.with"] == "there is no commit yet"
    assert version.tags["data.digest"] == "1" * 32 + ".dir"
    assert version.tags[registry.DIGEST] == files.digest(workspace.EXPORT)
    folder = registry.download(client, version, Path("here"))
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


def test_what_serves_is_no_challenger_of_itself(ready: Path) -> None:
    register.run("staging")
    assert baseline.of_champion() == (None, "this is the champion, version 1")
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
    assert registry.versions(registry.connect()) == []


def test_a_warning_is_no_refusal(ready: Path) -> None:
    judged("warn")
    assert register.run()["version"] == "1"


def test_what_is_not_committed_cannot_be_named(ready: Path) -> None:
    Path("params.yaml").write_text(Path("params.yaml").read_text() + "# changed\n")
    with pytest.raises(register.Uncommitted, match=r"changed since the last commit: params\.yaml; commit"):
        register.run()


def test_without_a_commit_there_is_nothing_to_name(ready: Path) -> None:
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


def test_two_who_register_at_once_get_two_versions(
    ready: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    """The second registers again on the first one's registry, and is told its new number."""
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
    client = registry.connect()
    assert [str(version.version) for version in registry.versions(client)] == ["2", "1"]
    assert registry.download(client, registry.find(client, "staging"), Path("here")).is_dir()
    monkeypatch.chdir(ready)
    assert store.pull() == "store: updated"
    assert len(registry.versions(registry.connect())) == 2
