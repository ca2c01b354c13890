"""The request row: what the service takes and what it refuses, and names that belong together."""

from typing import Any

import msgspec
import pytest

from problem import BLOCK, CATEGORIES, FEATURES, KEY, LABEL, PERIOD, SEASONAL, SEGMENTS, TABLES, TIME, Request

GOOD: dict[str, Any] = {
    "scheduled": "2013-06-14T17:05:00",
    "carrier": "UA",
    "origin": "EWR",
    "dest": "ORD",
    "distance": 719,
    "duration": 93,
    "departures": 24,
}


def test_what_is_optional_may_be_missing_or_null() -> None:
    assert msgspec.convert(GOOD, Request, strict=False).temp is None
    assert msgspec.json.decode(msgspec.json.encode(GOOD | {"temp": None}), type=Request).temp is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"origin": "PHL"}, r"Invalid enum value 'PHL' - at `\$\.origin`"),
        ({"carrier": "ua"}, r"regex .* - at `\$\.carrier`"),
        ({"distance": 0}, r">= 1\.0 - at `\$\.distance`"),
        ({"distance": "far"}, r"Expected `float`, got `str`"),
        ({"humid": 101}, r"<= 100\.0 - at `\$\.humid`"),
        ({"late_rate": 1.1}, r"<= 1\.0 - at `\$\.late_rate`"),
        ({"duration": 1440}, r"< 1440\.0 - at `\$\.duration`"),
        ({"scheduled": "2013-06-14T17:05:00Z"}, r"no timezone component - at `\$\.scheduled`"),
        ({"scheduled": "tomorrow"}, r"Invalid RFC3339 .* - at `\$\.scheduled`"),
        ({"dep_delay": 5}, "unknown field `dep_delay`"),
        ({"departures": None}, r"Expected `float`, got `null`"),
    ],
)
def test_what_is_wrong_is_named(change: dict, message: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=message):
        msgspec.json.decode(msgspec.json.encode(GOOD | change), type=Request)


@pytest.mark.parametrize("name", GOOD)
def test_what_is_required_is_missed(name: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=f"missing required field `{name}`"):
        msgspec.convert({key: value for key, value in GOOD.items() if key != name}, Request, strict=False)


def test_names_belong_together(examples) -> None:
    assert {*KEY, *SEGMENTS, BLOCK, PERIOD, LABEL, TIME} <= set(examples.columns)
    raw = {name for table in TABLES.values() for name in table.row.__struct_fields__}
    assert set(CATEGORIES) <= set(FEATURES)
    assert set(SEASONAL) <= raw | set(FEATURES)
    for table in TABLES.values():
        assert set(table.key) <= set(table.row.__struct_fields__)


def test_the_examples_of_the_documentation_are_requests() -> None:
    properties = msgspec.json.schema(Request)["$defs"]["Request"]["properties"]
    kinds = {name: (field.get("anyOf") or [field])[0] for name, field in properties.items()}
    shown = {name: kind["examples"][0] for name, kind in kinds.items()}
    assert set(shown) == set(Request.__struct_fields__)
    msgspec.json.decode(msgspec.json.encode(shown), type=Request)
