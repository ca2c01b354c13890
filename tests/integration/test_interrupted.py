"""Killed at the worst moments, then started again: it completes, and nothing of the first time is left."""

import ctypes
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
import sample

from delivery.adapters import dvc, store

PR_SET_CHILD_SUBREAPER = 36  # of prctl(2)
CRASH = Path(__file__).parent / "crash"
# The last first: the moment between two renames is chosen, in which an output that was there is away.
OUTPUTS = [
    ("evaluate", "reports/metrics.json"),
    ("export", "artifacts/export"),
    ("train", "artifacts/train"),
    ("prepare", "artifacts/prepare"),
    ("validate", "reports/validate.json"),
    ("fetch", "data"),
]


def killed(project: Path, moment: str, *words: str) -> None:
    """Runs Python until the moment that crash/sitecustomize.py describes, at which the whole group is killed."""
    environment = sample.environment(project)
    environment |= {"CRASH_AT": moment, "PYTHONPATH": f"{CRASH}{os.pathsep}{environment['PYTHONPATH']}"}
    done = subprocess.run(
        [sys.executable, *words],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        start_new_session=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, f"{moment} never came\n{done.stdout}\n{done.stderr}"
    assert "crash at" in done.stdout


def children() -> set[int]:
    return {child.pid for child in psutil.Process().children()}


@contextmanager
def adopting() -> Iterator[None]:
    """What a killed child leaves running becomes ours, and is waited for at the end: it must end by itself."""
    kernel = ctypes.CDLL(None)
    before = children()  # those of other tests in this worker stay
    kernel.prctl(PR_SET_CHILD_SUBREAPER, 1)
    try:
        yield
        while ours := children() - before:
            for pid in ours:
                with suppress(ChildProcessError):
                    os.waitpid(pid, 0)
    finally:
        kernel.prctl(PR_SET_CHILD_SUBREAPER, 0)


def leftovers(folder: Path) -> list[Path]:
    return [path for path in folder.rglob(".*.scratch") if ".git" not in path.relative_to(folder).parts]


def test_a_pipeline_killed_as_any_output_is_written_completes(project: Path) -> None:
    for stage, output in OUTPUTS:
        killed(project, f"replace:{output}", "-m", "delivery", stage)
    assert len(leftovers(project)) == len(OUTPUTS)
    assert not sample.git(project, "status", "--porcelain"), "nothing of it would be committed"
    for verb in ("fetch", "prepare"):
        sample.run(project, verb)
    assert len(leftovers(project)) == len(OUTPUTS) - 2, "who writes an output removes what was left beside it"
    sample.repro(project)
    assert not sample.git(project, "status", "--porcelain"), "dvc.lock is as committed"
    assert (project / "artifacts" / "export" / "manifest.json").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent was killed")
def test_the_children_of_a_killed_run_end_with_it(project: Path) -> None:
    """Only the parent is killed, as by a system out of memory; its DVC would hold the locks that the next run needs."""
    sample.change(project, {"train.learning_rate": 0.2})
    command = [sys.executable, "-m", "delivery", "run"]
    with (
        adopting(),
        subprocess.Popen(
            command, cwd=project, env=sample.environment(project), stdout=subprocess.PIPE, text=True
        ) as running,
    ):
        assert running.stdout is not None
        for line in running.stdout:
            if line.startswith("Running stage 'train'"):
                running.kill()
                break
    sample.repro(project, "train")
    assert "learning_rate: 0.2" in (project / "dvc.lock").read_text()


def test_a_registration_killed_half_way_registers_once(registered: Path, here) -> None:
    shutil.rmtree(registered / ".store")
    for moment in ("sql:CREATE TABLE _alembic_tmp_", "replace:/artifacts/model"):
        killed(registered, moment, "-m", "delivery", "register", "--alias", "staging")
    outcome = json.loads(sample.run(registered, "register", "--alias", "staging", "--json").stdout)
    assert (outcome["version"], outcome["new"]) == ("1", True)
    assert here(registered, "lineage", "staging")[1].startswith("version 1, staging\n")
    assert not leftovers(registered / ".store")
    assert not sample.git(registered / ".store", "status", "--porcelain")


def test_a_killed_push_is_completed_and_leaves_no_half_object(
    registered: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(registered / ".store" / "dvc")
    killed(registered, "replace:.store/dvc", "-m", "dvc", "push", "--quiet")
    sample.run(registered, "push", "--quiet", module="dvc")
    monkeypatch.chdir(registered)
    assert not store.commit("Nothing is new"), "the same objects are in the store again, and no temporary file"
    assert not dvc.remove_corrupt()


def test_a_lock_that_a_killed_git_left_in_the_store_is_removed(
    registered: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(registered)
    locks = [registered / ".store" / ".git" / name for name in ("index.lock", "HEAD.lock", "refs/heads/store.lock")]
    for lock in locks:
        lock.touch()
        os.utime(lock, (0, time.time() - store.STALE))
    (registered / ".store" / "note").write_text("new")
    assert store.commit("A note")
    assert not any(lock.exists() for lock in locks)


def test_a_corrupted_object_is_refused_by_name_and_made_again(registered: Path) -> None:
    lock = (registered / "dvc.lock").read_text()
    found = re.search(r"path: artifacts/train\n +hash: md5\n +md5: (\w+)\.dir", lock)
    assert found
    listed = registered / ".store" / "dvc" / "files" / "md5" / found[1][:2] / f"{found[1][2:]}.dir"
    digest = next(entry["md5"] for entry in json.loads(listed.read_text()) if entry["relpath"] == "model.skops")
    broken = registered / ".store" / "dvc" / "files" / "md5" / digest[:2] / digest[2:]
    broken.chmod(0o644)
    broken.write_bytes(broken.read_bytes()[:-1] + b"!")
    for folder in (".dvc/cache", "artifacts"):
        shutil.rmtree(registered / folder)

    refused = sample.run(registered, "pull", module="dvc", code=None)
    assert refused.returncode
    assert "artifacts/train" in refused.stderr
    assert not (registered / "artifacts" / "train").exists(), "a wrong model never reaches its place"

    shutil.rmtree(registered / "artifacts")
    data = "from delivery.core import params; from delivery import run; run.data(params.load()); run.pipeline()"
    said = sample.python(registered, "-c", data).stdout
    assert f"store: the object {digest} was corrupted; it is removed" in said
    ran = re.findall(r"^Running stage '(\w+)'", said, re.MULTILINE)
    assert "train" in ran
    assert "prepare" not in ran, "what is whole in the store is not made again"
    sample.run(registered, "push", module="dvc")
    assert broken.exists()
    assert not sample.git(registered, "status", "--porcelain")
