"""What actionlint and zizmor know of workflows, and the exceptions."""

import re
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


def test_the_exceptions_to_zizmor_are_the_trusted_workflows_and_the_secrets_of_environments():
    ignores = {
        path.name: re.findall(r"zizmor: ignore\[([\w-]+)\] \w", line)
        for path in [*FILES, *ACTIONS]
        for line in path.read_text().splitlines()
        if "zizmor: ignore" in line
    }
    assert ignores == {
        "alert.yml": ["dangerous-triggers"],
        "command.yml": ["dangerous-triggers"],
        "comment.yml": ["dangerous-triggers"],
        "promote.yml": ["secrets-inherit"],
        "ci.yml": ["secrets-inherit"],
    }
    assert sum(path.read_text().count("zizmor: ignore") for path in [*FILES, *ACTIONS]) == len(ignores)
    assert not list(GITHUB.glob("zizmor.y*ml"))
