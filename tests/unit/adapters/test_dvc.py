"""DVC: of what it prints the line that names the cause is told, and its files say what by digest."""

from pathlib import Path

import pytest

from delivery.adapters import dvc
from delivery.core import files, workspace


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("Running stage\nerror: 2 columns:\n  a\n  b\nERROR: failed to reproduce", "2 columns:\n  a\n  b"),
        ("ERROR: no remote\nthen advice", "no remote"),
        ("anything\nat all\n", "at all"),
        ("", "dvc said nothing"),
    ],
)
def test_the_cause_is_the_stages_own_line_else_dvcs(said: str, told: str) -> None:
    assert dvc.reason(said) == told


@pytest.mark.parametrize(
    ("lock", "expected"), [("", {}), ("schema: '2.0'\n", {}), ("stages: {a: {outs: [{path: x, md5: y}]}}", {"x": "y"})]
)
def test_the_outputs_of_a_lock(lock: str, expected: dict) -> None:
    assert dvc.outputs(lock) == expected


def test_an_object_that_is_not_what_its_name_says_is_removed(folder: Path) -> None:
    good, bad = dvc.digest(b"good"), dvc.digest(b"bad")
    listed = dvc.digest(b"[]")
    files.write(workspace.DVC_OBJECTS / f"{good[:2]}/{good[2:]}", "good")
    files.write(workspace.DVC_OBJECTS / f"{listed[:2]}/{listed[2:]}.dir", "[]")
    files.write(workspace.DVC_OBJECTS / f"{bad[:2]}/{bad[2:]}", "worse")
    assert dvc.mend() == [bad]
    assert dvc.mend() == []
