"""DVC: the cause in its output, and the digests in its files."""

from pathlib import Path

import pytest

from delivery.adapters import dvc
from delivery.core import files, workspace


@pytest.mark.parametrize(
    ("output", "cause"),
    [
        ("Running stage\nerror: 2 columns:\n  a\n  b\nERROR: failed to reproduce", "2 columns:\n  a\n  b"),
        ("ERROR: no remote\nthen advice", "no remote"),
        ("anything\nat all\n", "at all"),
        ("", "dvc printed nothing"),
    ],
)
def test_the_cause_is_the_stages_own_line_else_dvcs(output: str, cause: str) -> None:
    assert dvc.reason(output) == cause


@pytest.mark.parametrize(
    ("login", "url", "output", "said"),
    [
        ("refused", "s3://flights/dvc", "ERROR: unexpected error - Unable to locate credentials", True),
        ("refused", "s3://flights/dvc", "error: 2 columns\nERROR: failed to reproduce 'validate'", False),
        ("refused", "s3://flights/dvc", "ERROR: failed to reproduce 'train': exited with -9", False),
        ("refused", "../.store/dvc", "ERROR: unexpected error - No space left on device", False),
        ("", "s3://flights/dvc", "ERROR: unexpected error - Forbidden", False),
    ],
)
def test_a_bucket_that_a_fork_may_not_read_is_named_and_what_a_maintainer_does(
    login: str, url: str, output: str, said: bool, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLOUD_LOGIN", login)
    files.write(workspace.DVC_CONFIG, f"[core]\n    remote = it\n['remote \"it\"']\n    url = {url}\n")
    message = dvc.closed_bucket(output)
    assert bool(message) == said
    if said:
        assert message.startswith(
            "s3://flights/dvc cannot be read (Unable to locate credentials): GitHub lets no fork's"
        )
        assert "comment `/results`" in message


@pytest.mark.parametrize(
    ("lock", "expected"), [("", {}), ("schema: '2.0'\n", {}), ("stages: {a: {outs: [{path: x, md5: y}]}}", {"x": "y"})]
)
def test_the_outputs_of_a_lock(lock: str, expected: dict) -> None:
    assert dvc.outputs(lock) == expected


def test_the_outputs_of_one_stage() -> None:
    lock = "stages: {a: {outs: [{path: x, md5: y}]}, b: {outs: [{path: z, md5: w}]}, c: {}}"
    assert dvc.outputs(lock, "b") == {"z": "w"}
    assert dvc.outputs(lock, "c") == {}


def test_the_stages_that_ran_are_not_those_of_a_cache() -> None:
    output = """Stage 'validate' didn't change, skipping
Stage 'prepare' is cached - skipping run, checking out outputs
Running stage 'train':
> python -m delivery train
train: Running stage 'export':
Running stage 'evaluate@may':
"""
    assert dvc.ran(output) == ["train", "evaluate@may"]


def test_an_object_whose_content_does_not_match_its_name_is_removed(folder: Path) -> None:
    good, bad = dvc.digest(b"good"), dvc.digest(b"bad")
    listed = dvc.digest(b"[]")
    files.write(workspace.DVC_OBJECTS / f"{good[:2]}/{good[2:]}", "good")
    files.write(workspace.DVC_OBJECTS / f"{listed[:2]}/{listed[2:]}.dir", "[]")
    files.write(workspace.DVC_OBJECTS / f"{bad[:2]}/{bad[2:]}", "worse")
    assert dvc.remove_corrupt() == [bad]
    assert dvc.remove_corrupt() == []
