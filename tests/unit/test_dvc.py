"""DVC: of what it prints the line that names the cause is told, and its files say what by digest."""

import pytest

from delivery import dvc


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
