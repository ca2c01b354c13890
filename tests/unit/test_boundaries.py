"""Who may import whom: what a team replaces, what it keeps, and what the image needs."""

import ast
import subprocess
import sys
from pathlib import Path

import made
import pytest

SOURCE = made.ROOT / "src"
DELIVERY = sorted((SOURCE / "delivery").rglob("*.py"))
PROBLEM = sorted((SOURCE / "problem").rglob("*.py"))


def name(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


def imported(path: Path) -> set[str]:
    """The modules that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add("." * node.level + (node.module or ""))
    return found


@pytest.mark.parametrize("path", PROBLEM, ids=name)
def test_the_problem_knows_nothing_of_the_machinery(path: Path) -> None:
    assert not [module for module in imported(path) if module.split(".")[0] == "delivery"]


@pytest.mark.parametrize("path", DELIVERY, ids=name)
def test_the_machinery_knows_the_problem_by_its_front_door_only(path: Path) -> None:
    assert not [module for module in imported(path) if module.startswith("problem.")]


@pytest.mark.parametrize("path", DELIVERY, ids=name)
def test_one_module_knows_mlflow(path: Path) -> None:
    knows = any(module.split(".")[0] == "mlflow" for module in imported(path))
    assert knows == (path.name == "registry.py")


@pytest.mark.parametrize("path", DELIVERY, ids=name)
def test_one_module_knows_github(path: Path) -> None:
    text = path.read_text()
    assert path.name == "github.py" or "api.github" not in text
    assert path.name == "github.py" or "GITHUB_" not in text


def test_what_the_machinery_uses_is_all_that_the_problem_offers() -> None:
    offered = set(ast.literal_eval(_assigned(SOURCE / "problem" / "__init__.py", "__all__")))
    used = {
        alias.name
        for path in DELIVERY
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module == "problem"
        for alias in node.names
    }
    assert used <= offered
    assert offered <= used, "what nobody uses is not asked of a new problem"


def _assigned(path: Path, variable: str) -> ast.expr:
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == variable:
            return node.value
    raise AssertionError(f"{path} has no {variable}")


SERVICE = [f"delivery.service.{path.stem}" for path in sorted((SOURCE / "delivery" / "service").glob("*.py"))]


@pytest.mark.parametrize("modules", [SERVICE, ["delivery.deploy.rollback"]], ids=["the service", "a rollback"])
def test_what_must_start_quickly_loads_nothing_heavy(modules: list[str]) -> None:
    heavy = ("pandas", "mlflow", "dvc", "sklearn", "scipy", "matplotlib", "pyarrow", "skops")
    code = f"import sys, problem, {', '.join(modules)}; print(*[m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.returncode) == ("", 0), done.stderr


def test_importing_does_nothing(tmp_path: Path) -> None:
    """No folder is made, no network asked, no environment changed at import."""
    names = [path.relative_to(SOURCE).with_suffix("") for path in DELIVERY if path.stem[0] != "_"]
    modules = [".".join(name.parts) for name in names if name.parts[1] != "service"]
    code = f"import os; before = dict(os.environ); import {', '.join(modules)}; assert os.listdir('.') == []"
    code += "; new = {k for k in os.environ if os.environ[k] != before.get(k)}; print(*new)"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not [word for word in done.stdout.split() if not word.startswith(("KMP_", "LOGURU"))]
