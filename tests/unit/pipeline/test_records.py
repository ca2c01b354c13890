"""Records of stages: who ran them, when, for how long, and with which libraries."""

import getpass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from delivery.adapters import dvc, provenance
from delivery.core import files, workspace
from delivery.core.errors import Failure
from delivery.pipeline import records


def test_a_stage_that_succeeded_is_on_record(folder: Path) -> None:
    with records.stage("train"):
        pass
    record = records.read()["train"]
    assert record.stage == "train"
    assert 0 <= record.seconds < 60
    assert set(record.libraries) == set(records.LIBRARIES)
    assert datetime.fromisoformat(record.started).tzinfo


def test_a_stage_that_failed_leaves_the_record_of_the_last_success(folder: Path) -> None:
    with records.stage("train"):
        pass
    before = records.read()
    with pytest.raises(RuntimeError), records.stage("train"):
        raise RuntimeError
    assert records.read() == before


def test_a_broken_record_is_refused_until_it_is_deleted(folder: Path) -> None:
    with records.stage("train"):
        pass
    files.write(workspace.RECORDS / "export.json", '{"stage": "export"')
    with pytest.raises(Failure, match=r"export\.json is no record of a stage .*; delete it") as failure:
        records.read()
    Path(str(failure.value).split()[0]).unlink()
    assert records.read().keys() == {"train"}


def test_there_are_no_records_before_the_first_run(folder: Path) -> None:
    assert records.read() == {}


def test_a_person_is_the_executor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "ada")
    assert provenance.executor().startswith("ada@")


def test_a_workflow_run_is_the_executor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_RUN_ID", "42")
    monkeypatch.setenv("GITHUB_ACTOR", "ada")
    monkeypatch.setenv("GITHUB_REPOSITORY", "team/model")
    assert provenance.executor() == "ada in workflow run team/model/actions/runs/42"


@pytest.mark.parametrize("error", [KeyError, OSError])
def test_a_user_without_a_name_is_recorded_by_number(error: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    def nameless() -> str:
        raise error

    monkeypatch.setattr(getpass, "getuser", nameless)
    assert provenance.executor().startswith("uid ")


STAGES = "stages: {train: {cmd: x, outs: [b, c: {cache: false}]}, export: {cmd: x}}"


def run_of_train(text: str) -> dict[str, Any]:
    """Run the stage so that it makes this text, and return its entry of dvc.lock."""
    files.write(Path("dvc.yaml"), STAGES)
    with records.stage("train"):
        files.write(Path("b/model"), text)
        files.write(Path("c"), "c")
    outs = [{"path": name, "md5": dvc.digest_of(Path(name))} for name in ("b", "c")]
    return {"params": {"seed": 7}, "deps": [{"path": "a", "md5": "1"}], "outs": outs}


def test_each_stage_of_a_lock_has_its_digests_and_its_record(folder: Path) -> None:
    train = run_of_train("model")
    found = records.whole({"stages": {"train": train, "export": {}}})
    assert found["train"]["inputs"] == {"a": "1"}
    assert found["train"]["outputs"] == {"b": dvc.digest_of(Path("b")), "c": dvc.digest(b"c")}
    assert found["train"]["params"] == {"seed": 7}
    assert "seconds" in found["train"]
    assert found["export"]["from"] == "DVC's cache"


def test_a_record_belongs_to_the_run_that_made_the_outputs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "executor", lambda: "ada@laptop")
    first = run_of_train("first")
    monkeypatch.setattr(records, "executor", lambda: "bob@laptop")
    second = run_of_train("second")
    other = {**first, "outs": [{"path": "b", "md5": "made elsewhere"}]}
    assert records.whole({"stages": {"train": first}})["train"]["executor"] == "ada@laptop"
    assert records.whole({"stages": {"train": second}})["train"]["executor"] == "bob@laptop"
    assert records.whole({"stages": {"train": other}})["train"]["from"] == "DVC's cache"


def test_digests_of_outputs_are_those_of_dvc(folder: Path) -> None:
    for name in ("tree/b.txt", "tree/a/c.txt", "tree/a.txt"):
        files.write(Path(name), name)
    dvc.run("init", "--no-scm", "--quiet")
    dvc.run("add", "--quiet", "tree")
    assert dvc.digest_of(Path("tree")) == dvc.data_digest(Path("tree.dvc").read_text())
