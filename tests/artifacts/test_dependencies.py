"""dvc.yaml names all that a stage's outcome depends on; what it does not name could change and nothing would be redone."""

import ast
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import sample
import yaml

from delivery.__main__ import MODULES, STAGES
from delivery.core.params import Params

SOURCE = sample.ROOT / "src"
DVC = yaml.safe_load((sample.ROOT / "dvc.yaml").read_text())["stages"]
PACKAGES = (
    *(".".join(path.parent.relative_to(SOURCE).parts) for path in sorted((SOURCE / "delivery").rglob("__init__.py"))),
    "problem",
)
# What a stage runs through without its outcome depending on it, and why.
EXEMPT = {
    "delivery.compute.engine": "where work is done; that its outcome is the same is tests/scale's",
    "delivery.core.errors": "words of a refusal; a refused stage has no outcome",
    "delivery.core.params": "reads params.yaml, whose values DVC follows one by one; the defaults are `defaults`",
    "delivery.compute.processes": "how many parts are made at once",
    "delivery.core.progress": "prints to the terminal",
    "delivery.core.workspace": "paths; DVC follows what lies there",
}
OURS = "delivery.core.stage_params"
HOW = {"engine"}  # decides how a stage works; that the rows are the same is tests/unit/problem/test_windows.py's
# Of another stage, a stage may use where its outputs are and how they are read back: DVC follows the outputs.
SHARED = {"read"}


def file(module: str) -> Path:
    path = SOURCE / module.replace(".", "/")
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def tree(module: str) -> ast.Module:
    return ast.parse(file(module).read_text())


def exported() -> dict[str, str]:
    """Name in `problem` to the module that defines it."""
    return {
        alias.asname or alias.name: str(node.module)
        for node in tree("problem").body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def imports(module: str) -> Iterator[tuple[str, str | None]]:
    """(module, name) of every import of this project's own code, those inside functions too; name None is the module."""
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names if alias.name.split(".")[0] in PACKAGES)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in PACKAGES:
            assert not node.level, f"{module} has a relative import, which this test does not follow"
            for alias in node.names:
                if node.module == "problem":
                    yield exported()[alias.name], alias.name
                elif file(f"{node.module}.{alias.name}").exists():
                    yield f"{node.module}.{alias.name}", None
                else:
                    yield str(node.module), alias.name


def needed(stage: str) -> set[str]:
    """The modules that decide a stage's outcome: its own and what it imports, but for EXEMPT and other stages."""
    seen, ahead = set(), [MODULES[stage]]
    while ahead:
        module = ahead.pop()
        if module not in seen:
            seen.add(module)
            ahead += [name for name, _ in imports(module) if name not in EXEMPT and not other_stage(name, stage)]
    return seen


def defaults(stage: str) -> set[str]:
    """The modules with the defaults of the parameters that a stage reads, which DVC cannot see in params.yaml."""
    sections = {field.name: field.type for field in msgspec.structs.fields(Params)}
    return {sections[name].__module__ for name in DVC[stage]["params"]}


def other_stage(module: str, stage: str) -> bool:
    return module in {MODULES[name] for name in STAGES if name != stage}


def used(module: str) -> set[tuple[str, str]]:
    """(module, name) of what is used of other modules: names imported from them, and attributes of modules imported."""
    modules = {name.rpartition(".")[2]: name for name, what in imports(module) if what is None}
    attributes = {
        (modules[node.value.id], node.attr)
        for node in ast.walk(tree(module))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules
    }
    return attributes | {(name, what) for name, what in imports(module) if what is not None}


def dependencies(stage: str) -> set[str]:
    return set(DVC[stage]["deps"])


def outputs(stage: str) -> set[str]:
    listed = DVC[stage].get("outs", []) + DVC[stage].get("metrics", [])
    return {name for out in listed for name in ([out] if isinstance(out, str) else out)}


@pytest.mark.parametrize("stage", DVC)
def test_every_module_that_decides_the_outcome_is_a_dependency(stage: str) -> None:
    modules = needed(stage) | defaults(stage)
    lacking = {file(module).relative_to(sample.ROOT).as_posix() for module in modules} - dependencies(stage)
    assert not lacking, f"dvc.yaml: deps of {stage} lack {sorted(lacking)}"


@pytest.mark.parametrize("stage", DVC)
def test_every_dependency_is_there_and_used(stage: str) -> None:
    code = {name for name in dependencies(stage) if name.startswith("src/")}
    assert code <= {file(module).relative_to(sample.ROOT).as_posix() for module in needed(stage) | defaults(stage)}
    made = set().union(*(outputs(other) for other in DVC))
    rest = dependencies(stage) - code - made - {"data"}
    assert rest == {"requirements/pipeline.txt"}, "the versions of the libraries decide the outcome too"
    assert (sample.ROOT / "requirements" / "pipeline.txt").exists()


@pytest.mark.parametrize("stage", DVC)
def test_of_another_stage_only_its_outputs_are_used(stage: str) -> None:
    for module in needed(stage):
        for other, name in used(module):
            if other_stage(other, stage):
                assert name.isupper() or name in SHARED, f"{module} computes with {other}.{name}: move it to a module"
                upstream = other.rpartition(".")[2]
                assert outputs(upstream) & dependencies(stage), (
                    f"{stage} reads {upstream} and depends on none of its outputs"
                )


@pytest.mark.parametrize("stage", DVC)
def test_every_section_of_params_that_is_read_is_named(stage: str) -> None:
    """`params.<section>` where `params` is the whole tree, in the stage and in what it imports."""
    sections = {field.name for field in msgspec.structs.fields(Params)}
    read = {
        node.attr
        for module in needed(stage)
        for function in ast.walk(tree(module))
        if isinstance(function, ast.FunctionDef)
        for whole in [{arg.arg for arg in function.args.args if ast.unparse(arg.annotation or function) == "Params"}]
        for node in ast.walk(function)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in whole
    }
    assert read <= sections
    assert read - HOW == set(DVC[stage]["params"])


def test_defaults_are_where_a_stage_depends_on_them_and_nothing_else_is() -> None:
    """A key that no stage reads may get another default without anything being computed again."""
    assert set.union(*map(defaults, DVC)) == {"delivery.core.stage_params", "problem.model"}
    assert not set(imports("delivery.core.stage_params")), "what it imports would have to be a dependency too"
    ours = {field.type for field in msgspec.structs.fields(Params) if getattr(field.type, "__module__", "") == OURS}
    assert {kind.__name__.lower() for kind in ours} <= {name for stage in DVC for name in DVC[stage]["params"]}
    assert ours


def test_a_package_holds_nothing_but_names() -> None:
    """What importing a package runs is in no stage's dependencies, so it must decide nothing."""
    for package in PACKAGES:
        first, *rest = tree(package).body
        assert isinstance(first, ast.Expr)
        for node in rest:
            assert isinstance(node, ast.ImportFrom) or ast.unparse(node).startswith("__all__ = "), package


def test_a_stage_its_module_its_section_and_its_verb_carry_one_name() -> None:
    sections = {field.name for field in msgspec.structs.fields(Params)}
    assert list(DVC) == list(STAGES)
    for stage in DVC:
        assert DVC[stage]["cmd"] == f"python -m delivery {stage}"
        assert MODULES[stage] == f"delivery.pipeline.{stage}"
        assert file(MODULES[stage]).exists()
        assert stage in sections
    assert sections - HOW <= set(MODULES), "a section that is no stage's is a verb's"
    assert all(file(module).exists() for module in MODULES.values())


def test_the_problem_never_imports_delivery() -> None:
    for path in (SOURCE / "problem").glob("*.py"):
        module = "problem" if path.stem == "__init__" else f"problem.{path.stem}"
        assert not [name for name, _ in imports(module) if name.startswith("delivery")], module


def test_delivery_takes_of_the_problem_what_it_offers() -> None:
    for path in (SOURCE / "delivery").rglob("*.py"):
        module = ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")
        for node in ast.walk(tree(module)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("problem"):
                assert node.module == "problem", f"{module} imports {node.module}"
