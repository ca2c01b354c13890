"""What actionlint and zizmor know of workflows, with one exception."""

import subprocess
import sys
from pathlib import Path

import pytest
from dotgithub import ACTIONS, FILES, GITHUB


@pytest.mark.parametrize(
    "command",
    [
        ["actionlint", *map(str, FILES)],
        ["zizmor", "--offline", "--persona", "auditor", "--strict-collection", "--quiet", ".github"],
    ],
    ids=["actionlint", "zizmor"],
)
def test_linters_find_nothing(command):
    program = Path(sys.executable).with_name(command[0])
    path = {"PATH": f"{program.parent}:/usr/bin:/bin", "HOME": "/nonexistent", "NO_COLOR": "1"}
    done = subprocess.run(
        [program, *command[1:]], cwd=GITHUB.parent, capture_output=True, text=True, check=False, env=path
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_one_exception_to_zizmor_is_the_trusted_workflow():
    ignores = [
        (path.name, line)
        for path in [*FILES, *ACTIONS]
        for line in path.read_text().splitlines()
        if "zizmor: ignore" in line
    ]
    ((name, line),) = ignores
    assert name == "comment.yml"
    assert "ignore[dangerous-triggers]" in line
    assert not list(GITHUB.glob("zizmor.y*ml"))
