"""Schemas in words, for a table: what a value is, and which part of it has changed."""

from typing import Any

from delivery.compatibility.results import Kind
from delivery.compatibility.schema import Schema, branches


def changed_part(old: Schema, new: Schema) -> Kind:
    """Return which part of a value has changed: its type, its values, its range, or its form."""
    if _types(old) != _types(new):
        return "type"
    if _enumerated(old) or _enumerated(new):
        return "values"
    numbers = {"minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum", "multipleOf"}
    bounds = [
        [{name: each[name] for name in numbers & each.keys()} for each in branches(schema)] for schema in (old, new)
    ]
    return "range" if bounds[0] != bounds[1] else "form"


def _types(schema: Schema) -> set[str]:
    return {_type(each) for each in branches(schema)}


def _type(branch: dict[str, Any]) -> str:
    if "enum" not in branch:
        return str(branch.get("type", "any value"))
    (value,) = branch["enum"]
    names = {bool: "boolean", int: "integer", float: "number", str: "string"}
    return "null" if value is None else names.get(type(value), "any value")


def _enumerated(schema: Schema) -> bool:
    return any("enum" in each and each["enum"] != [None] for each in branches(schema))


WORDS = {"integer": "whole number", "string": "text", "array": "list", "boolean": "true or false"}


def shown(schema: Schema) -> str:
    """Return a schema in words: `number from 1 to 6000`, `EWR, JFK, LGA or null`."""
    parts = branches(schema)
    values = [_literal(each["enum"][0]) for each in parts if "enum" in each and each["enum"] != [None]]
    others = [_words(each) for each in parts if "enum" not in each and each.get("type") != "null"]
    nothing = ["null"] if "null" in _types(schema) else []
    return " or ".join([*([", ".join(values)] if values else []), *others, *nothing]) or "nothing"


def _literal(value: Any) -> str:
    return value if isinstance(value, str) else str(value).lower()


def _words(branch: dict[str, Any]) -> str:
    kind = _type(branch)
    words = [WORDS.get(kind, kind)]
    if kind == "array":
        words.append(f"of {shown(branch.get('items', True))}")
    for name, form in BOUNDS.items():
        if name in branch:
            words.append(form.format(branch[name]))
    return " ".join(words)


BOUNDS = {
    "minimum": "from {}",
    "exclusiveMinimum": "above {}",
    "maximum": "to {}",
    "exclusiveMaximum": "below {}",
    "multipleOf": "in steps of {}",
    "minLength": "of at least {} characters",
    "maxLength": "of at most {} characters",
    "minItems": "with at least {}",
    "maxItems": "with at most {}",
    "pattern": "like {}",
    "format": "as {}",
}
