"""Who may import whom: what a team replaces, what it keeps, and what the image needs."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import made
import pytest
from msgspec.structs import fields

from delivery.registry.version import Lineage

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
    assert knows == (name(path) == "delivery/registry/client.py")


@pytest.mark.parametrize("path", DELIVERY, ids=name)
def test_one_module_names_the_types_of_mlflow(path: Path) -> None:
    """Imported or not: an object of MLflow that another module handles is named by an annotation of it."""
    names = re.findall(r"\b(?:MlflowClient|ModelVersion|MlflowException)\b", path.read_text())
    assert bool(names) == (name(path) == "delivery/registry/client.py")


KEYS = {field.encode_name for field in fields(Lineage) if "." in field.encode_name}
SUFFIXES = (".event.", ".since", ".rolled_back", "files.pruned", "migrated.gap")


@pytest.mark.parametrize("path", DELIVERY, ids=name)
def test_one_module_writes_the_keys_of_a_versions_tags(path: Path) -> None:
    texts = [node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)]
    written = {text for text in texts if isinstance(text, str) and (text in KEYS or text.endswith(SUFFIXES))}
    assert written == (KEYS | set(SUFFIXES) if name(path) == "delivery/registry/version.py" else set())


@pytest.mark.parametrize("path", DELIVERY, ids=name)
def test_one_module_knows_github(path: Path) -> None:
    text = path.read_text()
    assert path.name == "github.py" or ("api.github" not in text and "GITHUB_" not in text)


@pytest.mark.parametrize("path", DELIVERY, ids=name)
def test_no_module_imports_the_command_of_another_verb(path: Path) -> None:
    tree = ast.parse(path.read_text())
    imports = [
        node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module != "delivery.service.serve"
    ]
    assert not [alias.name for node in imports for alias in node.names if alias.name == "main"]
    called = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    commands = [ast.unparse(func) for func in called if isinstance(func, ast.Attribute) and func.attr == "main"]
    assert name(path) == "delivery/__main__.py" or not [text for text in commands if not text.startswith("serve.")]


def test_nothing_but_the_command_line_and_the_loop_stands_outside_the_rooms() -> None:
    assert {path.name for path in DELIVERY if path.parent.name == "delivery"} == {
        "__init__.py",
        "__main__.py",
        "run.py",
    }


@pytest.mark.parametrize("verb", ["gate", "doctor", "upgrade", "new"])
def test_a_verb_that_needs_no_model_starts_without_the_libraries_of_one(verb: str) -> None:
    code = f"""import sys, delivery.__main__ as command
command.parser(["{verb}"])
print(*[name for name in ("matplotlib", "sklearn", "pandera", "mlflow") if name in sys.modules])"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.returncode) == ("", 0), done.stderr


def test_the_contracts_of_the_floors_hold() -> None:
    """The same command as in `make check`, so that a plain `make test` finds an import that runs upwards too."""
    done = subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"],
        cwd=made.ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


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


def test_the_service_imports_nothing_that_the_image_leaves_out() -> None:
    """The image is only built where a Docker engine is."""
    (folders,) = re.findall(r"rm -rf ((?:numpy/\w+ ?)+)", (made.ROOT / "Dockerfile").read_text())
    hidden = {name.replace("/", "."): None for name in folders.split()}
    assert hidden
    code = f"import sys; sys.modules.update({hidden}); import {', '.join(SERVICE)}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_importing_does_nothing(tmp_path: Path) -> None:
    """No folder is made, no network asked, no environment changed at import."""
    names = [path.relative_to(SOURCE).with_suffix("") for path in DELIVERY if path.stem[0] != "_"]
    modules = [".".join(name.parts) for name in names if name.parts[1] != "service"]
    code = f"import os; before = dict(os.environ); import {', '.join(modules)}; assert os.listdir('.') == []"
    code += "; new = {k for k in os.environ if os.environ[k] != before.get(k)}; print(*new)"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not [word for word in done.stdout.split() if not word.startswith(("KMP_", "LOGURU"))]


def test_the_trusted_comment_needs_no_problem() -> None:
    """It runs where a repository of several models has none, and words of a pull request's problem come as data."""
    code = "import sys; sys.modules['problem'] = None; import delivery.ci.comment"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
