"""What a schema allows: the same values as msgspec, and as an implementation of JSON Schema by other people."""

import json
from typing import Annotated, Any, Literal

import jsonschema_rs
import msgspec
import pytest
from described import document, struct
from hypothesis import given
from hypothesis import settings as property_settings
from hypothesis import strategies as st
from msgspec import Meta

from delivery.compatibility import covering, refusing
from delivery.compatibility.interface import interface


def refusal(fields: list[Any], row: Any, *, strict: bool = True) -> str:
    return refusing.refusal(interface(document(fields, strict=strict)).row, row)


FIELDS: list[Any] = [
    ("origin", Literal["EWR", "JFK"]),
    ("distance", Annotated[float, Meta(ge=1, lt=6000)]),
    ("seats", Annotated[int, Meta(ge=1)] | None, None),
    ("code", Annotated[str, Meta(pattern="^[A-Z]{2}$", max_length=2)], "UA"),
    ("stops", Annotated[list[int], Meta(max_length=2)], []),
]
GOOD = {"origin": "EWR", "distance": 700}


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({}, ""),
        ({"seats": None}, ""),
        ({"gate": 7}, "gate is unknown"),
        ({"origin": "LGA"}, "origin is none of the allowed values"),
        ({"origin": 1}, "origin is none of the allowed values"),
        ({"distance": 0.5}, "distance is out of range"),
        ({"distance": 6000}, "distance is out of range"),
        ({"distance": 5999.5}, ""),
        ({"distance": "far"}, "distance has another type"),
        ({"distance": True}, "distance has another type"),
        ({"seats": 0}, "seats is out of range"),
        ({"seats": 1.5}, "seats has another type"),
        ({"code": "UAL"}, "code is text of another form"),
        ({"code": "ua"}, "code is text of another form"),
        ({"stops": [1, 2, 3]}, "stops has another number of items"),
        ({"stops": ["one"]}, "stops has an item that has another type"),
    ],
)
def test_a_refusal_names_the_field_and_never_the_value(more: dict[str, Any], reason: str) -> None:
    row = GOOD | more
    assert refusal(FIELDS, row) == reason
    assert accepted(FIELDS, row) == (not reason), "as the decoder of the service sees it"


def accepted(fields: list[Any], row: Any) -> bool:
    try:
        msgspec.json.decode(json.dumps(row), type=struct(fields))
    except msgspec.ValidationError:
        return False
    return True


def test_a_missing_field_and_a_row_that_is_none() -> None:
    assert refusal(FIELDS, {"origin": "EWR"}) == "distance is missing"
    assert refusal(FIELDS, [GOOD]) == "has another type"


def test_unknown_fields_may_be_ignored() -> None:
    assert refusal(FIELDS, GOOD | {"gate": 7}, strict=False) == ""


def test_times_with_and_without_a_zone() -> None:
    for form, good, bad in (
        ("date-time", "2013-06-14T17:05:00Z", "2013-06-14T17:05:00"),
        ("date-time-local", "2013-06-14T17:05:00", "2013-06-14T17:05:00+01:00"),
    ):
        assert refusing.refusal({"type": "string", "format": form}, good) == ""
        assert refusing.refusal({"type": "string", "format": form}, bad) == "is text of another form"
        assert refusing.refusal({"type": "string", "format": form}, "today") == "is text of another form"


def test_the_reason_within_a_nested_object_has_its_path() -> None:
    class Gate(msgspec.Struct, forbid_unknown_fields=True):
        number: int

    fields = [("gate", Gate | None)]
    assert refusal(fields, {"gate": {"number": "7"}}) == "gate.number has another type"
    assert refusal(fields, {"gate": {"number": 7, "letter": "B"}}) == "gate.letter is unknown"
    assert refusal(fields, {"gate": 7}) == "gate has another type"


@pytest.mark.parametrize(
    ("wide", "narrow"),
    [
        ({"type": "string", "uniqueItems": True}, {"type": "string"}),  # a word that is not known has to be equal
        ({"type": "string", "format": "uuid"}, {"enum": ["word"]}),
        ({"type": "number"}, {}),
        (False, {}),
        ({"type": "object", "additionalProperties": False}, {"type": "object"}),
        ({"anyOf": [{"type": "number", "minimum": 1}], "minimum": 2}, {"type": "number", "minimum": 1}),
    ],
)
def test_what_is_not_certain_is_not_covered(wide: Any, narrow: Any) -> None:
    assert not covering.covers(wide, narrow)


@pytest.mark.parametrize(
    ("wide", "narrow"),
    [
        ({}, {"type": "number"}),
        (True, False),
        ({"type": ["string", "null"]}, {"const": None}),
        ({"type": "number", "multipleOf": 0.1}, {"type": "number", "multipleOf": 0.3}),
        ({"type": "number", "minimum": 1}, {"type": "integer", "exclusiveMinimum": 0}),
        ({"type": "string", "uniqueItems": True}, {"type": "string", "uniqueItems": True, "maxLength": 3}),
    ],
)
def test_what_is_certain_is(wide: Any, narrow: Any) -> None:
    assert covering.covers(wide, narrow)


limits = st.integers(-2, 3)
numbers = st.fixed_dictionaries(
    {"type": st.sampled_from(["integer", "number"])},
    optional=dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"), limits),
)
texts = st.fixed_dictionaries(
    {"type": st.just("string")},
    optional={
        "minLength": st.integers(0, 2),
        "maxLength": st.integers(0, 3),
        "pattern": st.sampled_from(["^a", "b$", "^a*$"]),
    },
)
values = st.none() | st.booleans() | limits | st.floats(-3, 4) | st.text("ab", max_size=3)
single = numbers | texts | st.just({"type": "null"}) | st.just({"type": "boolean"})
single |= st.builds(lambda chosen: {"enum": chosen}, st.lists(st.sampled_from([None, "a", "ab", 2]), min_size=1))
lists = st.fixed_dictionaries(
    {"type": st.just("array")}, optional={"items": single, "minItems": limits.map(abs), "maxItems": limits.map(abs)}
)
objects = st.fixed_dictionaries(
    {"type": st.just("object"), "properties": st.dictionaries(st.sampled_from("ab"), single)},
    optional={
        "required": st.lists(st.sampled_from("ab"), unique=True),
        "additionalProperties": st.just(False) | single,
    },
)
schemas = single | lists | objects | st.builds(lambda parts: {"anyOf": parts}, st.lists(single, min_size=1, max_size=3))
contents = values | st.lists(values, max_size=3) | st.dictionaries(st.sampled_from("abc"), values, max_size=3)


def whole(value: Any) -> bool:
    """Whether JSON Schema takes a float for an integer, which msgspec does not."""
    nested = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return (isinstance(value, float) and value.is_integer()) or any(map(whole, nested))


@property_settings(max_examples=500, deadline=None)
@given(schemas, contents)
def test_another_implementation_of_json_schema_refuses_the_same(content: Any, value: Any) -> None:
    if not whole(value):
        assert (refusing.refusal(content, value) == "") == jsonschema_rs.is_valid(content, value)


@property_settings(max_examples=500, deadline=None)
@given(st.data())
def test_what_a_narrower_schema_allows_is_allowed_by_the_wider_one(data: st.DataObject) -> None:
    narrow, value = data.draw(schemas), data.draw(contents)
    wide = data.draw(schemas | st.just(narrow))
    known = "additionalProperties" in narrow or not isinstance(value, dict)  # a name that is only ignored is not sent
    if known and jsonschema_rs.is_valid(narrow, value) and not whole(value) and covering.covers(wide, narrow):
        assert jsonschema_rs.is_valid(wide, value)
