"""JSON Schema as msgspec writes it: without notes and references, and as a list of alternatives."""

from collections.abc import Sequence
from typing import Any

Schema = Any  # a mapping, or True (every value) or False (none)
NOTES = {"title", "description", "examples", "example", "default", "deprecated", "discriminator"}
KNOWN = {
    *("type", "enum", "minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum", "multipleOf"),
    *("minLength", "maxLength", "pattern", "format", "minItems", "maxItems", "items", "prefixItems"),
    *("properties", "required", "additionalProperties"),
}  # what `covers` compares; anything else has to be equal


def resolved(schema: Schema, document: Any, within: Sequence[str] = ()) -> Schema:
    """Return the schema without notes and references; a reference of a type to itself stays."""
    if isinstance(schema, list):
        return [resolved(each, document, within) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        reference = schema["$ref"]
        if reference in within:
            return {"$ref": reference}
        target = document
        for name in reference.removeprefix("#/").split("/"):
            target = target[name]
        return resolved(target, document, (*within, reference))
    plain = {}
    for name, value in schema.items():
        if name in NOTES or name.startswith("x-"):
            continue
        if name == "properties":
            plain[name] = {field: resolved(each, document, within) for field, each in value.items()}
        else:
            plain[name] = value if name in ("enum", "const") else resolved(value, document, within)
    return plain


def branches(schema: Schema) -> list[dict[str, Any]]:
    """Return the alternatives of a schema, each without alternatives of its own; a value of an enumeration is one."""
    if isinstance(schema, bool):
        return [{}] if schema else []
    if "anyOf" in schema:
        beside = {name: value for name, value in schema.items() if name != "anyOf"}
        parts = [branch for each in schema["anyOf"] for branch in branches(each)]
        return [_both(beside, part) for part in parts]
    if "const" in schema:
        return [{"enum": [schema["const"]]}]
    if "enum" in schema:
        return [{"enum": [value]} for value in schema["enum"]]
    if isinstance(schema.get("type"), list):
        return [{**schema, "type": kind} for kind in schema["type"]]
    return [schema]


def _both(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Return a schema of the values that both allow."""
    clash = any(other[name] != value for name, value in one.items() if name in other)
    return {"allOf": [one, other]} if clash else {**one, **other}


def item(schema: dict[str, Any], at: int) -> Schema:
    """Return the schema of the item at a place of a list."""
    first = schema.get("prefixItems", [])
    return first[at] if at < len(first) else schema.get("items", True)
