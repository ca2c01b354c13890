"""Explain what is wrong with a params.yaml: misnamed keys with the nearest one, wrong values with the choices."""

import difflib
from collections.abc import Iterator
from operator import itemgetter
from typing import Any

from msgspec import inspect


def key_problem(given: Any, root: inspect.Type) -> str:
    """Return a line about a key that is unknown, or missing without a default; empty if there is none.

    A misspelt key is both: then the line is about the unknown key.
    """
    problems = list(_key_problems(given, root, root))
    return min(problems, key=itemgetter(0))[1] if problems else ""


def _key_problems(given: Any, kind: inspect.Type, root: inspect.Type, path: str = "") -> Iterator[tuple[bool, str]]:
    """Yield for each misnamed key whether it is missing, and the line about it."""
    if isinstance(kind, inspect.UnionType):
        kind = next((part for part in kind.types if isinstance(part, inspect.StructType)), kind)
    if not isinstance(given, dict):
        return
    if isinstance(kind, inspect.DictType):
        for name, value in given.items():
            yield from _key_problems(value, kind.value_type, root, f"{path}{name}.")
    elif isinstance(kind, inspect.StructType):
        known = {field.name: field.type for field in kind.fields}
        for name, value in given.items():
            if name in known:
                yield from _key_problems(value, known[name], root, f"{path}{name}.")
            else:
                yield False, f"{path}{name} is unknown; {_advice(str(name), path, list(known), root)}"
        for field in kind.fields:
            if field.required and field.name not in given:
                yield True, f"{path}{field.name} is missing, and it has no default"


def _advice(name: str, path: str, known: list[str], root: inspect.Type) -> str:
    """Suggest the nearest key of the same section, or else the key of that name in another one."""
    near = [path + key for key in difflib.get_close_matches(name, known, n=1)]
    elsewhere = [key for key in _dotted_keys(root) if key.rpartition(".")[2] == name]
    if suggestions := [*near, *elsewhere]:
        return f"did you mean {suggestions[0]}?"
    return "docs/reference/params.md lists every key"


def _dotted_keys(kind: inspect.Type, path: str = "") -> Iterator[str]:
    for field in getattr(kind, "fields", ()):
        yield path + field.name
        yield from _dotted_keys(field.type, f"{path}{field.name}.")


def explained(error: str, root: inspect.Type) -> str:
    """Add the choices, or advice, to a message of msgspec, which only states what is wrong."""
    path = error.rpartition("`$.")[2].rstrip("`")
    kind: Any = root
    for name in path.split("."):
        kind = next((field.type for field in getattr(kind, "fields", ()) if field.name == name), None)
    if "enum value" in error and isinstance(kind, inspect.LiteralType):
        return f"{error}; choose one of {', '.join(map(str, kind.values))}"
    if "Expected `float`, got `str`" in error:
        return f"{error}; YAML takes 1e-2 for text, write 0.01 or 1.0e-2"
    return error
