"""Whether one schema allows all values of another.

`covers` says no where it does not know, so that what is called compatible is.
"""

import math
from fractions import Fraction
from typing import Any

from delivery.compatibility.refusing import refusal
from delivery.compatibility.schema import KNOWN, Schema, branches, item


def covers(wide: Schema, narrow: Schema) -> bool:
    """Return whether every value that `narrow` allows is allowed by `wide` too; False where that is not certain."""
    wides = branches(wide)
    return all(any(_contains(each, one) for each in wides) for one in branches(narrow))


def _contains(wide: dict[str, Any], narrow: dict[str, Any]) -> bool:
    if not wide or wide == narrow:
        return True
    if "enum" in narrow:
        return wide.keys() <= KNOWN - {"format"} and not refusal(wide, narrow["enum"][0])
    kind, other = narrow.get("type"), wide.get("type")
    whole = kind == "integer"
    if kind is None or "enum" in wide or not (other in (None, kind) or (whole and other == "number")):
        return False
    if any(narrow.get(name, _ABSENT) != wide[name] for name in wide.keys() - KNOWN):
        return False
    return (
        _lower(wide, whole) <= _lower(narrow, whole)
        and _upper(wide, whole) >= _upper(narrow, whole)
        and _multiple(wide, narrow, whole)
        and all(wide.get(least, 0) <= narrow.get(least, 0) for least in ("minLength", "minItems"))
        and all(wide.get(most, math.inf) >= narrow.get(most, math.inf) for most in ("maxLength", "maxItems"))
        and all(narrow.get(name) == wide[name] for name in ("pattern", "format") if name in wide)
        and _items(wide, narrow)
        and _properties(wide, narrow)
    )


_ABSENT = object()


def _lower(schema: dict[str, Any], whole: bool) -> tuple[float, bool]:
    """Return the lower bound and whether it is excluded; of whole numbers, the least that is allowed."""
    least, beyond = schema.get("minimum", -math.inf), schema.get("exclusiveMinimum", -math.inf)
    if whole:
        return max(_ceil(least), _floor(beyond) + 1), False
    return max((least, False), (beyond, True))


def _upper(schema: dict[str, Any], whole: bool) -> tuple[float, bool]:
    """Return the upper bound and whether it is allowed; of whole numbers, the largest that is."""
    most, below = schema.get("maximum", math.inf), schema.get("exclusiveMaximum", math.inf)
    if whole:
        return min(_floor(most), _ceil(below) - 1), True
    return min((most, True), (below, below == math.inf))


def _ceil(value: float) -> float:
    return value if math.isinf(value) else math.ceil(value)


def _floor(value: float) -> float:
    return value if math.isinf(value) else math.floor(value)


def _multiple(wide: dict[str, Any], narrow: dict[str, Any], whole: bool) -> bool:
    if "multipleOf" not in wide:
        return True
    step = narrow.get("multipleOf", 1 if whole else 0)
    return bool(step) and (Fraction(str(step)) / Fraction(str(wide["multipleOf"]))).denominator == 1


def _items(wide: dict[str, Any], narrow: dict[str, Any]) -> bool:
    longest = max(len(wide.get("prefixItems", [])), len(narrow.get("prefixItems", [])))
    return all(covers(item(wide, at), item(narrow, at)) for at in range(longest + 1))


def _properties(wide: dict[str, Any], narrow: dict[str, Any]) -> bool:
    """Compare objects. A name that `narrow` only ignores is none that its clients send."""
    if not set(wide.get("required", ())) <= set(narrow.get("required", ())):
        return False
    known, rest = wide.get("properties", {}), wide.get("additionalProperties", True)
    fields, others = narrow.get("properties", {}), narrow.get("additionalProperties", True)
    return (
        all(covers(known.get(name, rest), each) for name, each in fields.items())
        and all(covers(known[name], others) for name in known if name not in fields and others is not True)
        and covers(rest, others)
    )
