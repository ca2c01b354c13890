"""The editor, the container that Codespaces opens, and the notebooks: what is set in two places is set alike."""

import json
import re
from typing import Any

import made
import pytest
import yaml


def read(name: str) -> dict[str, Any]:
    """JSON with comments, as the editor takes it."""
    return json.loads(re.sub(r"(?m)^\s*//.*$", "", (made.ROOT / name).read_text()))


def test_the_container_has_the_python_of_everyone_else_and_is_ready_when_it_opens() -> None:
    container = read(".devcontainer/devcontainer.json")
    version = re.search(r"python:(\d\.\d+)-", container["image"])
    assert version
    assert f"PYTHON ?= python{version[1]}\n" in (made.ROOT / "Makefile").read_text()
    setup = yaml.safe_load((made.ROOT / ".github" / "actions" / "setup" / "action.yml").read_text())
    assert [
        step["with"]["python-version"] for step in setup["runs"]["steps"] if "setup-python" in step.get("uses", "")
    ] == [version[1]]
    assert container["postCreateCommand"] == "make setup"


def test_the_extensions_are_the_same_with_and_without_the_container() -> None:
    inside = read(".devcontainer/devcontainer.json")["customizations"]["vscode"]["extensions"]
    assert inside == read(".vscode/extensions.json")["recommendations"]
    assert {"iterative.dvc", "ms-python.python", "charliermarsh.ruff"} <= set(inside)


def test_the_editor_uses_the_locked_programs() -> None:
    settings = read(".vscode/settings.json")
    used = [value.removeprefix("${workspaceFolder}/") for name, value in settings.items() if name.endswith("Path")]
    assert {*used} == {".venv/bin/python", ".venv/bin/dvc"}


@pytest.mark.parametrize("path", sorted(made.ROOT.glob("notebooks/*.ipynb")), ids=lambda path: path.name)
def test_no_notebook_keeps_its_outputs(path) -> None:
    cells = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
    assert cells
    assert not [cell for cell in cells if cell["outputs"] or cell["execution_count"]]
