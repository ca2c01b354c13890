"""Why a schema does not allow a value, as the service would say it: the field, and never the value."""

import math
import re
from collections.abc import Iterator
from datetime import datetime
from fractions import Fraction
from typing import Any

from delivery.compatibility.schema import Schema, branches, item


def refusal(schema: Schema, value: Any) -> str:
    """Return why the schema does not allow a value, naming the field and never the value; empty if it allows it."""
    reasons = [_refusal(branch, value) for branch in branches(schema)]
    if not reasons or "" in reasons:
        return "" if reasons else "no value is allowed here"
    return min(reasons, key=lambda reason: reason == WRONG_TYPE) if len(reasons) > 1 else reasons[0]


WRONG_TYPE = "has another type"
PYTHON: dict[str, tuple[type, ...]] = {
    "null": (type(None),),
    "integer": (int,),
    "number": (int, float),
    "string": (str,),
    "array": (list,),
    "object": (dict,),
}


def _refusal(schema: dict[str, Any], value: Any) -> str:
    if "enum" in schema:
        same = any(type(value) is type(each) and value == each for each in schema["enum"])
        return "" if same else "is none of the allowed values"
    if "type" in schema and not _is(schema["type"], value):
        return WRONG_TYPE
    if isinstance(value, dict | list):
        reasons = _object_refusals(schema, value) if isinstance(value, dict) else _list_refusals(schema, value)
        return next(reasons, "")
    if isinstance(value, str):
        return "" if _text_fits(schema, value) else "is text of another form"
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return "is out of range" if number and not _number_fits(schema, value) else ""


def _is(kind: str, value: Any) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    return isinstance(value, PYTHON.get(kind, ()))


def _object_refusals(schema: dict[str, Any], value: dict[str, Any]) -> Iterator[str]:
    known, rest = schema.get("properties", {}), schema.get("additionalProperties", True)
    for name in schema.get("required", ()):
        if name not in value:
            yield f"{name} is missing"
    for name, each in value.items():
        if name not in known and rest is False:
            yield f"{name} is unknown"
        elif reason := refusal(known.get(name, rest), each):
            yield f"{name}{'.' if _nested(reason, each) else ' '}{reason}"


def _nested(reason: str, value: Any) -> bool:
    return isinstance(value, dict) and reason != WRONG_TYPE


def _list_refusals(schema: dict[str, Any], value: list[Any]) -> Iterator[str]:
    if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", math.inf):
        yield "has another number of items"
    for at, each in enumerate(value):
        if reason := refusal(item(schema, at), each):
            yield f"has an item that {reason}" if not isinstance(each, dict) else reason


def _text_fits(schema: dict[str, Any], value: str) -> bool:
    if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", math.inf):
        return False
    if "pattern" in schema and not re.search(schema["pattern"], value):
        return False
    if schema.get("format") in ("date-time", "date-time-local"):
        try:
            zoned = datetime.fromisoformat(value).tzinfo is not None
        except ValueError:
            return False
        return zoned is (schema["format"] == "date-time")
    return True  # other formats are not looked at


def _number_fits(schema: dict[str, Any], value: float) -> bool:
    step = schema.get("multipleOf")
    return bool(
        schema.get("minimum", value) <= value <= schema.get("maximum", value)
        and schema.get("exclusiveMinimum", -math.inf) < value < schema.get("exclusiveMaximum", math.inf)
        and (not step or (Fraction(str(value)) / Fraction(str(step))).denominator == 1)
    )
