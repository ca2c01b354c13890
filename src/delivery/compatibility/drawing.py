"""Draw rows that a schema allows: requests that no log and no example holds, on the bounds of each field above all.

The same schema and known rows give the same rows again, so a gate does not change its mind.
"""

import math
import random
import string
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any
from uuid import UUID

from delivery.compatibility.asking import Row
from delivery.compatibility.refusing import refusal
from delivery.compatibility.schema import KNOWN, Schema, branches

ROWS = 100
TRIES = 10  # times the rows that are wanted
WIDE = 1000  # between bounds that a schema leaves open
LONG = 8  # characters or items more than the least
LETTERS = string.ascii_letters + string.digits + " é"
BEGIN, DAYS = datetime(2000, 1, 1, tzinfo=UTC), 12_000  # of dates


class Undrawable(Exception):
    """No value is drawn for a schema, and no known request has one."""


def drawn(row: Schema, known: Sequence[Row], count: int = ROWS) -> list[Row]:
    """Return at most `count` different rows that the schema allows; none if it has a required field that is not drawn.

    A field with a pattern, or of a form that is not drawn, takes a value that a known row has there.
    """
    source = random.Random(count)  # noqa: S311  no secret
    rows: dict[str, Row] = {}
    for _ in range(count * TRIES):
        if len(rows) == count:
            break
        try:
            value = _value(row, known, source)
        except Undrawable:
            continue
        if isinstance(value, dict) and not refusal(row, value):
            rows.setdefault(repr(value), value)
    return list(rows.values())


def _value(schema: Schema, known: Sequence[Any], source: random.Random) -> Any:
    """Return a value of one alternative of the schema. Raise `Undrawable` if none is drawn."""
    choices = branches(schema)
    for branch in source.sample(choices, len(choices)):
        try:
            return _of_branch(branch, known, source)
        except Undrawable:
            pass
    fitting = [value for value in known if not refusal(schema, value)]
    if not fitting:
        raise Undrawable
    return source.choice(fitting)


def _of_branch(schema: dict[str, Any], known: Sequence[Any], source: random.Random) -> Any:
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type", "")
    if kind in FEW:
        return source.choice(FEW[kind])
    draw = KINDS.get(kind)
    if draw is None or schema.keys() - KNOWN or "pattern" in schema:
        raise Undrawable
    return draw(schema, known, source)


def _object(schema: dict[str, Any], known: Sequence[Any], source: random.Random) -> Row:
    """Return the required fields and about half of the others; one of these that is not drawn is left out."""
    content: Row = {}
    for name, each in schema.get("properties", {}).items():
        required = name in schema.get("required", ())
        if not required and source.random() < 0.5:
            continue
        values = [value[name] for value in known if isinstance(value, dict) and name in value]
        try:
            content[name] = _value(each, values, source)
        except Undrawable:
            if required:
                raise
    return content


def _list(schema: dict[str, Any], known: Sequence[Any], source: random.Random) -> list[Any]:
    first, least = schema.get("prefixItems", []), schema.get("minItems", 0)
    length = _between(least, min(schema.get("maxItems", math.inf), least + LONG), source)
    rest = schema.get("items", True)
    values = [item for value in known if isinstance(value, list) for item in value]
    return [_value(first[at] if at < len(first) else rest, values, source) for at in range(length)]


def _between(least: float, most: float, source: random.Random) -> int:
    """Return a whole number, one of the ends as often as not."""
    if most < least:
        raise Undrawable
    return int(source.choice((least, most, *[source.randint(int(least), int(most))] * 2)))


def _number(schema: dict[str, Any], _: Sequence[Any], source: random.Random) -> float:
    """Return a number, the least or the largest that is allowed as often as not."""
    whole = schema["type"] == "integer"
    low = max(schema.get("minimum", -math.inf), schema.get("exclusiveMinimum", -math.inf))
    high = min(schema.get("maximum", math.inf), schema.get("exclusiveMaximum", math.inf))
    if low == -math.inf:
        low = min(0, high) - WIDE
    if high == math.inf:
        high = max(0, low) + WIDE
    step = Fraction(str(schema.get("multipleOf", 1 if whole else 0)))
    if step:
        first, last = math.ceil(Fraction(str(low)) / step), math.floor(Fraction(str(high)) / step)
        first += first * step == schema.get("exclusiveMinimum")
        last -= last * step == schema.get("exclusiveMaximum")
        value = _between(first, last, source) * step
        return int(value) if whole else float(value)
    least = math.nextafter(low, math.inf) if low == schema.get("exclusiveMinimum") else low
    most = math.nextafter(high, -math.inf) if high == schema.get("exclusiveMaximum") else high
    return float(source.choice((least, most, *[source.uniform(least, most)] * 2)))


def _text(schema: dict[str, Any], _: Sequence[Any], source: random.Random) -> str:
    if "format" in schema:
        return _formatted(schema["format"], source)
    least = schema.get("minLength", 0)
    length = _between(least, min(schema.get("maxLength", math.inf), least + LONG), source)
    return "".join(source.choices(LETTERS, k=length))


def _formatted(form: str, source: random.Random) -> str:
    moment = BEGIN + timedelta(days=source.randrange(DAYS), seconds=source.randrange(86_400))
    texts = {
        "date-time": moment.isoformat(),
        "date-time-local": moment.replace(tzinfo=None).isoformat(),
        "date": moment.date().isoformat(),
        "uuid": str(UUID(int=source.getrandbits(128), version=4)),
    }
    if form not in texts:
        raise Undrawable
    return texts[form]


KINDS: dict[str, Callable[[dict[str, Any], Sequence[Any], random.Random], Any]] = {
    "object": _object,
    "array": _list,
    "integer": _number,
    "number": _number,
    "string": _text,
}
FEW: dict[str, tuple[bool | None, ...]] = {"boolean": (False, True), "null": (None,)}
