"""Two documents compared: every planted change is found and classed, and what is called compatible is."""

import copy
from datetime import datetime
from typing import Annotated, Any, Literal

import made
import msgspec
import pytest
from described import document, of_struct, struct
from hypothesis import given
from hypothesis import settings as property_settings
from hypothesis import strategies as st
from msgspec import Meta, Struct

from delivery.compatibility.difference import difference
from delivery.compatibility.interface import interface
from delivery.compatibility.results import Broken, Change

Distance = Annotated[float, Meta(ge=1, le=6000, description="miles")]
Airport = Literal["EWR", "JFK", "LGA"]
BASE: list[Any] = [("origin", Airport), ("distance", Distance), ("seats", int | None, None)]
BOTH: tuple[Broken, ...] = ("clients", "rollback")


def changes(old: list[Any], new: list[Any], **about: Any) -> list[Change]:
    return difference(document(old, **about), document(new, **about))


def only(found: list[Change]) -> Change:
    (one,) = found
    return one


def with_type(name: str, kind: Any) -> list[Any]:
    return [(field[0], kind, *field[2:]) if field[0] == name else field for field in BASE]


def test_the_same_document_has_no_differences() -> None:
    assert changes(BASE, BASE) == []


def test_descriptions_and_examples_do_not_count() -> None:
    described = Annotated[float, Meta(ge=1, le=6000, description="of the route", examples=[700])]
    assert changes(BASE, with_type("distance", described)) == []


def test_a_required_field_refuses_old_requests_and_the_old_version_refuses_the_new_field() -> None:
    change = only(changes(BASE, [*BASE, ("gate_number", int)]))
    assert change == Change("added", "request.gate_number", "", "whole number, required", BOTH)


def test_an_optional_field_breaks_the_way_back_only() -> None:
    change = only(changes(BASE, [*BASE, ("gate_number", int | None, None)]))
    assert change == Change("added", "request.gate_number", "", "whole number or null, optional", ("rollback",))


def test_an_optional_field_is_compatible_where_the_old_version_ignores_unknown_fields() -> None:
    new = [*BASE, ("gate_number", int | None, None)]
    found = difference(document(BASE, strict=False), document(new, strict=False))
    assert only(found).breaks == ()


def test_a_removed_field_is_unknown_to_the_new_version() -> None:
    assert only(changes(BASE, BASE[:2])) == Change(
        "removed", "request.seats", "whole number or null, optional", "", ("clients",)
    )
    assert only(changes(BASE, BASE[1:])).breaks == BOTH, "the old version asks for it"
    assert only(difference(document(BASE, strict=False), document(BASE[:2], strict=False))).breaks == ()


def test_one_field_in_the_place_of_another_of_its_type_is_a_renamed_one() -> None:
    new = [*BASE[:1], ("miles", Distance), *BASE[2:]]
    assert only(changes(BASE, new)) == Change("renamed", "request.distance", "distance", "miles", BOTH)
    optional = [*BASE[:2], ("chairs", int | None, None)]
    assert only(changes(BASE, optional)).breaks == BOTH
    tolerant = difference(document(BASE, strict=False), document(optional, strict=False))
    assert (only(tolerant).kind, only(tolerant).breaks) == ("renamed", ())


def test_of_several_fields_of_one_type_those_with_like_names_are_the_renamed_ones() -> None:
    old = [("temp_before", float), ("pressure_hpa", float)]
    new = [("pressure", float), ("temp", float), ("unlike", float)]
    assert {(change.kind, change.before, change.now) for change in changes(old, new)} == {
        ("renamed", "temp_before", "temp"),
        ("renamed", "pressure_hpa", "pressure"),
        ("added", "", "number, required"),
    }


@pytest.mark.parametrize(
    ("name", "kind", "expected", "breaks"),
    [
        ("distance", Annotated[float, Meta(ge=1, le=5000)], "range", ("clients",)),
        ("distance", Annotated[float, Meta(ge=1, le=7000)], "range", ("rollback",)),
        ("distance", Annotated[float, Meta(ge=2, le=7000)], "range", BOTH),
        ("distance", Annotated[float, Meta(gt=1, le=6000)], "range", ("clients",)),
        ("distance", Annotated[float, Meta(gt=0, le=6000)], "range", ("rollback",)),
        ("distance", Annotated[float, Meta(ge=1, lt=6000)], "range", ("clients",)),
        ("distance", Annotated[float, Meta(ge=1)], "range", ("rollback",)),
        ("distance", Annotated[float, Meta(ge=1, le=6000, multiple_of=0.5)], "range", ("clients",)),
        ("distance", Annotated[int, Meta(ge=1, le=6000)], "type", ("clients",)),
        ("distance", str, "type", BOTH),
        ("distance", list[float], "type", BOTH),
        ("distance", Distance | None, "type", ("rollback",)),
        ("origin", Literal["EWR", "JFK"], "values", ("clients",)),
        ("origin", Literal["EWR", "JFK", "LGA", "PHL"], "values", ("rollback",)),
        ("origin", Literal["EWR", "JFK", "PHL"], "values", BOTH),
        ("origin", str, "values", ("rollback",)),
        ("origin", Annotated[str, Meta(pattern="^[A-Z]{3}$")], "values", ("rollback",)),
        ("origin", Annotated[str, Meta(pattern="^E")], "values", BOTH),
        ("origin", datetime, "values", ("rollback",)),
        ("seats", int, "type", ("clients",)),
        ("seats", float | None, "type", ("rollback",)),
        ("seats", Annotated[int, Meta(ge=0)] | None, "range", ("clients",)),
    ],
)
def test_a_field_with_other_values(name: str, kind: Any, expected: str, breaks: tuple[str, ...]) -> None:
    change = only(changes(BASE, with_type(name, kind)))
    assert (change.kind, change.place, change.breaks) == (expected, f"request.{name}", breaks)
    back = only(changes(with_type(name, kind), BASE))
    assert set(back.breaks) == {{"clients": "rollback", "rollback": "clients"}[side] for side in breaks}


@pytest.mark.parametrize(
    ("old", "new", "breaks"),
    [
        (Annotated[str, Meta(max_length=3)], Annotated[str, Meta(max_length=2)], ("clients",)),
        (Annotated[str, Meta(min_length=1)], str, ("rollback",)),
        (Annotated[str, Meta(pattern="^a")], Annotated[str, Meta(pattern="^b")], BOTH),
        (Annotated[datetime, Meta(tz=True)], Annotated[datetime, Meta(tz=False)], BOTH),
        (Annotated[list[int], Meta(max_length=3)], Annotated[list[int], Meta(max_length=4)], ("rollback",)),
        (list[int], list[float], ("rollback",)),
        (tuple[int, int], tuple[int, int, int], BOTH),
        (tuple[int, int], list[int], ("rollback",)),
        (dict[str, int], dict[str, float], ("rollback",)),
        (bytes, str, ("rollback",)),
    ],
)
def test_a_value_of_another_form(old: Any, new: Any, breaks: tuple[str, ...]) -> None:
    assert only(changes([("field", old)], [("field", new)])).breaks == breaks


def test_required_and_optional() -> None:
    optional = [("origin", Airport), ("distance", Distance, 5.0), ("seats", int | None, None)]
    assert only(changes(BASE, optional)) == Change("now optional", "request.distance", "", "", ("rollback",))
    assert only(changes(optional, BASE)) == Change("now required", "request.distance", "", "", ("clients",))


def test_fields_of_nested_objects_are_compared_one_by_one() -> None:
    class Gate(Struct, forbid_unknown_fields=True):
        number: int

    class Other(Struct, forbid_unknown_fields=True):
        number: Annotated[int, Meta(ge=1)]
        terminal: str = ""

    found = changes([("gate", Gate | None, None)], [("gate", Other | None, None)])
    assert [(change.place, change.breaks) for change in found] == [
        ("request.gate.terminal", ("rollback",)),
        ("request.gate.number", ("clients",)),
    ]


def test_unknown_fields_refused_from_now_on_break_clients_that_sent_them_by_mistake() -> None:
    tolerant, strict = document(BASE, strict=False), document(BASE)
    assert only(difference(tolerant, strict)) == Change("unknown fields", "request", "ignored", "refused", ("clients",))
    assert only(difference(strict, tolerant)).breaks == ()


@pytest.mark.parametrize("limit", ["max_rows", "max_bytes"])
def test_a_lower_limit_breaks_clients_and_a_higher_one_the_way_back(limit: str) -> None:
    old, new = document(BASE, **{limit: 500}), document(BASE, **{limit: 400})
    assert only(difference(old, new)) == Change("limit", limit, "500", "400", ("clients",))
    assert only(difference(new, old)).breaks == ("rollback",)


def test_a_number_that_becomes_a_list_breaks_who_reads_it() -> None:
    old, new = document(BASE, classes=("no", "yes")), document(BASE, classes=("a", "b", "c"))
    answer, classes = difference(old, new)
    assert (answer.kind, answer.before, answer.breaks) == ("answer", "number", BOTH)
    assert answer.now == "list of number with at least 3 with at most 3"
    assert classes == Change("classes", "answer", "no, yes", "a, b, c", BOTH)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (("no", "yes"), ("yes", "no")),
        (("a", "b", "c"), ("a", "c", "b")),
        (("no", "yes"), ()),
        (("no", "yes"), ("no", "maybe")),
    ],
)
def test_the_names_and_the_order_of_classes_decide_what_a_number_means(old: Any, new: Any) -> None:
    change = only(difference(document(BASE, classes=old), document(BASE, classes=new)))
    assert (change.kind, change.breaks) == ("classes", BOTH)


def test_a_document_from_before_classes_were_named_is_not_taken_for_other_classes() -> None:
    old, new = document(BASE, classes=("no", "yes")), document(BASE, classes=("yes", "no"))
    assert difference(without_classes(old), new) == []


def without_classes(content: Any) -> Any:
    if isinstance(content, dict):
        return {name: without_classes(value) for name, value in content.items() if name != "x-classes"}
    return [without_classes(each) for each in content] if isinstance(content, list) else content


def changed(**predict: Any) -> dict[str, Any]:
    content = copy.deepcopy(document(BASE))
    content["paths"]["/predict"]["post"] |= predict
    return content


def test_a_member_more_in_the_answer_is_ignored_and_one_less_is_missed() -> None:
    old, new = document(BASE), changed()
    answer = new["paths"]["/predict"]["post"]["responses"]["200"]["content"]["application/json"]["schema"]
    for one in answer["anyOf"]:
        one["properties"]["model"] = {"type": "string"}
        one["required"].append("model")
    assert only(difference(old, new)).breaks == ("rollback",)
    assert only(difference(new, old)).breaks == ("clients",)


def test_status_codes_of_refusals_may_come_and_go() -> None:
    old, new = document(BASE), changed()
    new["paths"]["/predict"]["post"]["responses"]["431"] = {}
    assert only(difference(old, new)) == Change("status", "status 431", "", "431")
    assert only(difference(new, old)) == Change("status", "status 431", "431", "")


def test_another_status_of_success_is_a_break() -> None:
    new = changed()
    new["paths"]["/predict"]["post"]["responses"]["202"] = {}
    assert only(difference(document(BASE), new)).breaks == BOTH


def test_a_token_that_is_needed_from_now_on() -> None:
    guarded = changed(security=[{"HTTPBearer": []}])
    assert only(difference(document(BASE), guarded)) == Change("token", "request", "not needed", "needed", ("clients",))
    assert only(difference(guarded, document(BASE))).breaks == ("rollback",)


def test_headers_and_endpoints_that_are_gone_are_missed() -> None:
    new = changed()
    del new["paths"]["/predict"]["post"]["responses"]["200"]["headers"]["X-Request-Id"]
    del new["paths"]["/version"]
    found = [(change.kind, change.place, change.breaks) for change in difference(document(BASE), new)]
    assert found == [
        ("header", "X-Request-Id", ("clients",)),
        ("endpoint", "GET /version", ("clients",)),
    ]
    assert [change.breaks for change in difference(new, document(BASE))] == [(), ("rollback",)]


@pytest.mark.parametrize("content", [{}, {"paths": {}}, {"paths": {"/predict": {"post": {}}}}, [], None])
def test_another_document_is_refused(content: Any) -> None:
    with pytest.raises(ValueError, match="does not describe /predict"):
        interface(content)


def test_a_type_that_holds_itself_ends() -> None:
    class Request(Struct):
        inner: "Request | None" = None

    globals()["Request"] = Request
    try:
        content = of_struct(Request)
    finally:
        del globals()["Request"]
    assert difference(content, content) == []


def test_long_values_are_cut_so_that_a_table_can_show_them() -> None:
    many: Any = Literal[tuple(f"value-{number}" for number in range(100))]
    change = only(changes([("field", str)], [("field", many)]))
    assert len(change.now) == 120
    assert change.now.endswith("...")


# Pairs of random requests: what the differ calls compatible is tried with the decoder that the service uses.


def bounds(draw: Any, low: int, high: int) -> tuple[int, int]:
    first, second = draw(st.integers(low, high)), draw(st.integers(low, high))
    return min(first, second), max(first, second)


FORMS = ("integer", "number", "open", "open integer", "text", "word", "literal", "boolean", "list")


@st.composite
def kinds(draw: Any, forms: tuple[str, ...] = FORMS) -> tuple[Any, st.SearchStrategy[Any]]:
    """A type, and the values that it has: drawn from the type's own parts, not from its schema."""
    form = draw(st.sampled_from(forms))
    low, high = bounds(draw, -3, 3)
    made: dict[str, tuple[Any, st.SearchStrategy[Any]]] = {
        "integer": (Annotated[int, Meta(ge=low, le=high)], st.integers(low, high)),
        "number": (Annotated[float, Meta(ge=low, le=high)], st.floats(low, high) | st.integers(low, high)),
        "open": (
            Annotated[float, Meta(gt=low, lt=high + 1)],
            st.floats(low, high + 1, exclude_min=True, exclude_max=True),
        ),
        "open integer": (Annotated[int, Meta(gt=low, lt=high + 2)], st.integers(low + 1, high + 1)),
        "text": (
            Annotated[str, Meta(min_length=low + 3, max_length=high + 3)],
            st.text("ab", min_size=low + 3, max_size=high + 3),
        ),
        "word": (
            Annotated[str, Meta(pattern=f"^[ab]{{{low + 3}}}$")],
            st.text("ab", min_size=low + 3, max_size=low + 3),
        ),
        "boolean": (bool, st.booleans()),
    }
    if form == "literal":
        words = draw(st.lists(st.sampled_from(["a", "b", "ab", 1, 2]), min_size=1, max_size=4, unique=True))
        kind, values = Literal[tuple(words)], st.sampled_from(words)
    elif form == "list":
        item, each = made["integer"]
        longest = draw(st.integers(0, 3))
        kind, values = Annotated[list[item], Meta(max_length=longest)], st.lists(each, max_size=longest)  # type: ignore[valid-type]
    else:
        kind, values = made[form]
    if draw(st.booleans()):
        return kind | None, values | st.none()
    return kind, values


@st.composite
def requests(draw: Any) -> tuple[type[Struct], st.SearchStrategy[dict[str, Any]]]:
    """A request's struct, and the requests that its clients send."""
    names = draw(st.lists(st.sampled_from("abcd"), min_size=1, max_size=3, unique=True))
    fields: list[Any] = []
    needed: dict[str, st.SearchStrategy[Any]] = {}
    others: dict[str, st.SearchStrategy[Any]] = {}
    for name in names:
        kind, values = draw(kinds())
        required = draw(st.booleans())
        fields.append((name, kind) if required else (name, kind, None))
        (needed if required else others)[name] = values
    return struct(fields, strict=draw(st.booleans())), st.fixed_dictionaries(needed, optional=others)


@property_settings(max_examples=300, deadline=None)
@given(st.data())
def test_what_is_called_compatible_is_never_refused(data: st.DataObject) -> None:
    old, old_rows = data.draw(requests())
    # As often as not the new request is made of the old one's fields, or nothing would ever be compatible.
    new, new_rows = data.draw(requests() | st.just((old, old_rows)) | widened(old, old_rows))
    broken = {side for change in difference(of_struct(old), of_struct(new)) for side in change.breaks}
    if "clients" not in broken:
        assert made.accepts(new, data.draw(old_rows))
    if "rollback" not in broken:
        assert made.accepts(old, data.draw(new_rows))


@st.composite
def widened(
    draw: Any, old: type[Struct], rows: st.SearchStrategy[dict[str, Any]]
) -> tuple[type[Struct], st.SearchStrategy[dict[str, Any]]]:
    """The same request with a type more for some fields, all of them optional."""
    fields = []
    for field in msgspec.structs.fields(old):
        more = field.type | None if draw(st.booleans()) else field.type
        fields.append((field.name, more, None))
    return struct(fields, strict=draw(st.booleans())), rows


ALIKE = [
    ("integer", "open integer"),
    ("number", "open", "integer", "open integer"),
    ("text", "word", "literal"),
    ("list",),
]


@property_settings(max_examples=400, deadline=None)
@given(st.data())
def test_a_type_that_is_called_wider_takes_every_value_of_the_other(data: st.DataObject) -> None:
    """Two types of one form differ in their bounds only, so that these alone decide."""
    forms = data.draw(st.sampled_from(ALIKE))
    (old, values), (new, _) = data.draw(kinds(forms)), data.draw(kinds(forms))
    sent = data.draw(st.lists(values, min_size=4, max_size=4))
    before, now = struct([("field", old)]), struct([("field", new)])
    broken = {side for change in difference(of_struct(before), of_struct(now)) for side in change.breaks}
    refused = [value for value in sent if not made.accepts(now, {"field": value})]
    assert not refused or "clients" in broken


@property_settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_request_that_the_new_decoder_refuses_has_a_change_that_says_so(data: st.DataObject) -> None:
    """The other way round: every break that can be planted is found."""
    old, rows = data.draw(requests())
    new, _ = data.draw(requests())
    if not made.accepts(new, data.draw(rows)):
        assert [change for change in difference(of_struct(old), of_struct(new)) if "clients" in change.breaks]
