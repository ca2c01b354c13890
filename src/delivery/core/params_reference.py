"""Write the output of `delivery params`: the parameters in force, or docs/reference/params.md, which lists every key."""

import ast
import textwrap
from collections.abc import Iterator
from inspect import cleandoc, getsource
from itertools import pairwise
from typing import Any

import msgspec
import yaml
from msgspec import Struct
from msgspec.inspect import (
    BoolType,
    DictType,
    FloatType,
    IntType,
    ListType,
    LiteralType,
    StrType,
    StructType,
    Type,
    UnionType,
    type_info,
)
from msgspec.structs import fields

from delivery.core import params, workspace

HEAD = """\
# Parameters

`params.yaml` holds what a team decides. A key that it leaves out has the default below; a key that is unknown, or a
value out of range, stops every verb with a line that names it. `delivery params` prints all values in force,
and marks those that `params.yaml` sets. A list or a map that you write replaces the default whole.

DVC follows the sections of the stages (`fetch` to `compare`) and wants each of them in the file, if only as
`validate: {}`. Everything else may be left out.

This page is written by `delivery params --markdown`. The keys of `train` are your problem's: see `Train` in
`src/problem/model.py`.
"""
NAMES = {BoolType: "`true`, `false`", StrType: "text"}
BOUNDS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}


def in_force() -> str:
    """Return the values in force as YAML, with a comment where one is not the default."""
    given = params.tree(params.read())
    values = msgspec.to_builtins(params.load())
    head = f"# Values in force; `set` marks those that {workspace.PARAMS} sets, all others are defaults.\n"
    lines = list(_lines(params.Params, values, given))
    if values["engine"] != params.effective(given)["engine"]:
        lines = [f"engine: {values['engine']}  # {params.ENGINE}" if line[:7] == "engine:" else line for line in lines]
    return head + "\n".join(lines) + "\n"


def _lines(kind: type[Struct], values: dict[str, Any], given: Any, indent: str = "") -> Iterator[str]:
    for one in fields(kind):
        here = isinstance(given, dict) and one.name in given
        if isinstance(one.type, type) and issubclass(one.type, Struct):
            yield f"{indent}{one.name}:"
            yield from _lines(one.type, values[one.name], given[one.name] if here else None, f"{indent}  ")
        else:
            value = values[one.name]
            lines = not isinstance(value, list | dict) or one.type == dict[str, str]  # those of the card are sentences
            flow = False if lines else None
            text = yaml.safe_dump(
                {one.name: value}, default_flow_style=flow, sort_keys=False, allow_unicode=True, width=10**6
            )
            first, *more = textwrap.indent(text, indent).splitlines()
            yield first + ("  # set" if here else "")
            yield from more


def page() -> str:
    """Return docs/reference/params.md."""
    sections, alone = [], []
    for one in fields(params.Params):
        if isinstance(one.type, type) and issubclass(one.type, Struct):
            if one.name != "train":
                sections.append(f"## {one.name}\n\n{_table(_rows(one.type))}")
        else:
            alone.append(one.name)
    rows = [row for row in _rows(params.Params) if row[0] in alone]
    return "\n".join([HEAD, *sections, f"## Without a section\n\n{_table(rows)}"])


def _table(rows: list[tuple[str, str, str, str]]) -> str:
    lines = [f"| `{key}` | {default} | {allowed} | {meaning} |" for key, default, allowed, meaning in rows]
    return "\n".join(["| key | default | allowed | meaning |", "|---|---|---|---|", *lines, ""])


def _rows(kind: type[Struct], prefix: str = "") -> list[tuple[str, str, str, str]]:
    """Return key, default, allowed values and meaning of every field, followed by those of structs nested in it."""
    texts, rows = meanings(kind), []
    types = {one.name: one.type for one in getattr(type_info(kind), "fields", ())}
    for one in fields(kind):
        name, shape = prefix + one.name, types[one.name]
        if isinstance(shape, StructType):
            rows += [] if kind is params.Params else _rows(shape.cls, f"{name}.")
            continue
        rows.append((name, _default(one), allowed(shape), texts[one.name]))
        each = getattr(shape, "value_type", shape)
        for nested in each.types if isinstance(each, UnionType) else [each]:
            if isinstance(nested, StructType):
                rows += _rows(nested.cls, f"{name}.NAME.")
    return rows


def meanings(kind: type) -> dict[str, str]:
    """Return the text below each field of a struct."""
    (definition,) = ast.parse(textwrap.dedent(getsource(kind))).body
    assert isinstance(definition, ast.ClassDef)
    return {
        one.target.id: " ".join(cleandoc(below.value.value).split())
        for one, below in pairwise(definition.body)
        if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name)
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) and isinstance(below.value.value, str)
    }


def _default(one: msgspec.structs.FieldInfo) -> str:
    if one.required:
        return "none, has to be set"
    value = one.default if one.default_factory is msgspec.NODEFAULT else one.default_factory()
    written = yaml.safe_dump([msgspec.to_builtins(value)], default_flow_style=True, sort_keys=False, width=10**6)
    return "empty" if value == "" else f"`{written.strip()[1:-1]}`"


def allowed(kind: Type) -> str:
    """Return the allowed values in words."""
    if isinstance(kind, LiteralType):
        return ", ".join(f"`{value}`" for value in kind.values)
    if isinstance(kind, IntType | FloatType):
        bounds = {sign: getattr(kind, name) for name, sign in BOUNDS.items()}
        limits = [f"{sign} {bound:,g}".replace("e+0", "e") for sign, bound in bounds.items() if bound is not None]
        return " ".join(["whole number" if isinstance(kind, IntType) else "number", ", ".join(limits)]).strip()
    if isinstance(kind, ListType):
        return f"list of {allowed(kind.item_type)}"
    if isinstance(kind, DictType):
        return f"map to {allowed(kind.value_type)}"
    if isinstance(kind, UnionType):
        return " or ".join(dict.fromkeys(allowed(one).removeprefix("whole ") for one in kind.types))
    return NAMES.get(type(kind), "keys below")
