"""Rows drawn from a schema: the service's own decoder takes each of them, and bounds are among them."""

from datetime import date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import made
import pytest
from described import of_struct, struct
from hypothesis import given
from hypothesis import settings as property_settings
from hypothesis import strategies as st
from msgspec import Meta, Struct

from delivery.compatibility.drawing import drawn
from delivery.compatibility.interface import interface

CODE = Annotated[str, Meta(pattern="^[A-Z]{3}$", max_length=3)]


class Gate(Struct, forbid_unknown_fields=True):
    number: Annotated[int, Meta(ge=1, le=9)]
    terminal: str = ""


KINDS: dict[str, Any] = {
    "whole": int,
    "bounded": Annotated[int, Meta(ge=3, lt=9)],
    "negative": Annotated[int, Meta(le=-5000)],
    "large": Annotated[float, Meta(gt=10_000)],
    "open": Annotated[float, Meta(gt=0, lt=1)],
    "stepped": Annotated[float, Meta(ge=1, le=6, multiple_of=0.5)],
    "even": Annotated[int, Meta(gt=0, lt=9, multiple_of=2)],
    "words": Literal["a", "b", 3],
    "text": Annotated[str, Meta(min_length=2, max_length=4)],
    "maybe": float | None,
    "either": int | str,
    "flag": bool,
    "list": Annotated[list[Annotated[int, Meta(ge=1)]], Meta(min_length=1, max_length=3)],
    "pair": tuple[int, str],
    "gate": Gate,
    "gates": list[Gate],
    "zoned": Annotated[datetime, Meta(tz=True)],
    "local": Annotated[datetime, Meta(tz=False, extra_json_schema={"format": "date-time-local"})],
    "day": date,
    "id": UUID,
}


def schema_of(request: type[Struct]) -> Any:
    return interface(of_struct(request)).row


@property_settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=5, unique=True), st.data())
def test_the_decoder_of_the_service_takes_every_row(names: list[str], data: st.DataObject) -> None:
    required = data.draw(st.sets(st.sampled_from(names)))
    fields = [(name, KINDS[name]) if name in required else (name, KINDS[name] | None, None) for name in names]
    request = struct(fields)
    rows = drawn(schema_of(request), [], 20)
    assert rows
    assert [row for row in rows if not made.accepts(request, row)] == []


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_is_drawn_without_a_known_request(name: str) -> None:
    request = struct([(name, KINDS[name])])
    rows = drawn(schema_of(request), [])
    assert rows
    assert all(made.accepts(request, row) for row in rows)


@pytest.mark.parametrize(
    ("kind", "bounds"),
    [("bounded", {3, 8}), ("stepped", {1.0, 6.0}), ("even", {2, 8}), ("negative", {-5000}), ("words", {"a", "b", 3})],
)
def test_the_ends_of_a_range_are_drawn(kind: str, bounds: set[Any]) -> None:
    values = {row["x"] for row in drawn(schema_of(struct([("x", KINDS[kind])])), [])}
    assert bounds <= values


def test_optional_fields_come_and_go_and_no_row_comes_twice() -> None:
    rows = drawn(schema_of(struct([("x", KINDS["bounded"]), ("y", KINDS["flag"], False)])), [])
    assert {"y" in row for row in rows} == {True, False}
    assert len(rows) == 6 * 3, "each that there is, once"


def test_the_same_schema_gives_the_same_rows() -> None:
    row = schema_of(struct(list(KINDS.items())))
    assert drawn(row, []) == drawn(row, [])


def test_what_is_not_drawn_is_taken_from_known_requests() -> None:
    fields = [("code", CODE), ("x", KINDS["open"])]
    known: list[dict[str, Any]] = [{"code": "EWR", "x": 0.5}, {"code": "JFK", "x": 0.5}, {"code": "no code"}, {"x": 1}]
    rows = drawn(schema_of(struct(fields)), known)
    assert {row["code"] for row in rows} == {"EWR", "JFK"}
    assert len({row["x"] for row in rows}) > 2


def test_without_a_value_an_optional_field_is_left_out_and_a_required_one_gives_no_rows() -> None:
    optional = drawn(schema_of(struct([("code", CODE | None, None), ("x", KINDS["open"])])), [])
    assert {row.get("code") for row in optional} == {None}
    assert drawn(schema_of(struct([("code", CODE), ("x", KINDS["open"])])), []) == []


def test_a_range_without_a_value_gives_no_rows() -> None:
    assert (
        drawn(
            {"type": "object", "properties": {"x": {"type": "integer", "minimum": 2, "maximum": 1}}, "required": ["x"]},
            [],
        )
        == []
    )
    assert drawn(True, []) == []
