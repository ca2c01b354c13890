"""The stand-in for DVC does what DVC does: the same stages run, the lock changes with the same edits, the exit codes agree."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from delivery.adapters import dvc
from delivery.core import workspace
from simulation import ROOT, pipeline

STAGE = f"""
import sys
sys.path[:0] = [{str(ROOT / "tests")!r}, {str(ROOT / "tests" / "workflows")!r}]
from delivery.core import workspace
from simulation import pipeline
pipeline._write(workspace.ARTIFACTS / sys.argv[1], pipeline.RUN[sys.argv[1]]())
"""
REPRO = ("repro", "--pull")
Seen = tuple[int, list[str], dict[str, int]]
CONFIG = "[core]\n    analytics = false\n    no_scm = true\n    remote = store\n['remote \"store\"']\n    url = ../.store/dvc\n"


def project() -> None:
    """A project of the three stages in this folder, which both can run."""
    Path(".dvc").mkdir()
    Path(".dvc/config").write_text(CONFIG)
    Path("stage.py").write_text(STAGE)
    tracked = {"train": ["train.l2_regularization", "train.learning_rate"]}
    stages: dict[str, dict[str, Any]] = {
        name: {
            "cmd": f"{sys.executable} stage.py {name}",
            "deps": [*(pipeline.DEPENDENCIES[name] or ["data"])],
            "outs": [f"artifacts/{name}"],
            "params": tracked.get(name, []),
        }
        for name in pipeline.STAGES
    }
    stages["evaluate"]["metrics"] = [{str(workspace.METRICS): {"cache": False}}]
    Path(workspace.DVC_YAML).write_text(yaml.safe_dump({"stages": stages}))
    begin()


def begin() -> None:
    """The first settings and data."""
    settings(1000001.0)
    period("2013-05")


def settings(dial: float, other: int = 0) -> None:
    train = {"l2_regularization": dial, "learning_rate": pipeline.UNTOUCHED, "other": other}
    workspace.PARAMS.write_text(yaml.safe_dump({"train": train}))


def period(until: str) -> None:
    workspace.DATA.mkdir(exist_ok=True)
    (workspace.DATA / "until").write_text(until)


def nothing() -> None:
    pass


def clone() -> None:
    """Keep what is committed and what is in the store."""
    shutil.rmtree(".dvc/cache")
    shutil.rmtree(workspace.ARTIFACTS)


# What somebody does, and the words for DVC after it.
HISTORY: list[tuple[Callable[[], object], tuple[str, ...]]] = [
    (nothing, ("add", "--quiet", "data")),
    (nothing, REPRO),
    (lambda: settings(1000001.0, other=1), REPRO),  # which no stage depends on
    (lambda: settings(1000002.0), REPRO),
    (lambda: shutil.rmtree(workspace.ARTIFACTS), REPRO),
    (nothing, ("push", "--quiet")),
    (clone, REPRO),
    (lambda: period("2013-06"), ("add", "--quiet", "data")),
    (nothing, REPRO),
    # A stage whose result is in DVC's run cache does not run; a runner begins without that, and so does the stand-in.
    (begin, ("add", "--quiet", "data")),
    (nothing, ("repro", "--no-run-cache")),
]


def performed(run: Callable, again: Callable) -> list[Seen]:
    """What each step gave: the exit code, the stages that ran, and the outputs in the lock, each named by its first appearance."""
    project()
    names: dict[str, dict[str, int]] = {}
    seen: list[Seen] = []

    def look(code: int, ran: list[str]) -> None:
        lock = workspace.DVC_LOCK.read_text() if workspace.DVC_LOCK.exists() else ""
        outputs = {path: made for path, made in dvc.outputs(lock).items() if path.startswith("artifacts/")}
        known = {path: names.setdefault(path, {}) for path in outputs}
        seen.append(
            (code, ran, {path: known[path].setdefault(made, len(known[path])) for path, made in outputs.items()})
        )
        assert all(Path(path).is_dir() for path in outputs), "what the lock names is there"

    for edit, words in HISTORY:
        edit()
        completed = run(*words, quiet=True)
        look(completed.returncode, dvc.ran(completed.stdout))
    look(int(not again("train", None)), [])
    return seen


def test_the_stand_in_runs_and_locks_what_dvc_does(
    alone: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for name, run, again in (("dvc", dvc.run, dvc.again), ("stand-in", pipeline.run, pipeline.again)):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        found.append(performed(run, again))
    assert found[1] == found[0]
    every = list(pipeline.STAGES)
    assert [ran for _, ran, _ in found[0]][: len(HISTORY)] == [[], every, [], every, [], [], [], [], every, [], every]


def test_a_stand_in_that_forgets_what_is_in_the_store_would_be_found(
    alone: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for name in ("right", "wrong"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        found.append(performed(pipeline.run, pipeline.again))
        monkeypatch.setattr(pipeline, "_restored", lambda *_: False)
    assert found[0] != found[1]
