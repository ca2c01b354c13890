"""Refusals name row and field, and repeat little of what the client sent."""

import json
import time
from typing import Any, Literal

import msgspec
import pytest
from live import Service, ask
from msgspec import Struct

from delivery.service.problems import Problem, invalid


class Row(Struct, forbid_unknown_fields=True):
    kind: Literal["a", "b"]


DECODE = msgspec.json.Decoder(Row | list[Row]).decode
LONG = "x" * 900_000
# The message repeats the name, which looks like many beginnings of a path; the line break keeps each from being one.
CROOKED = " - at `$" * 100_000 + "\n"


def refused(body: Any) -> Problem:
    with pytest.raises(msgspec.ValidationError) as error:
        DECODE(json.dumps(body))
    return invalid(error.value)


@pytest.mark.parametrize(
    ("body", "members"),
    [
        ({"kind": "c"}, {"field": "kind"}),
        ([{"kind": "a"}, {"kind": 1}], {"row": 1, "field": "kind"}),
        ([{"kind": "a"}, {}], {"row": 1, "field": "kind"}),
        ({"kind": "a", "other": 1}, {"field": "other"}),
        ([{"kind": "a", "other": 1}], {"row": 0, "field": "other"}),
        ([7], {"row": 0}),
    ],
)
def test_row_and_field_are_named(body: Any, members: dict[str, Any]) -> None:
    assert refused(body).members == members


@pytest.mark.parametrize(
    ("body", "members"),
    [
        ({"kind": LONG}, {"field": "kind"}),
        ([{"kind": "a"}, {"kind": LONG}], {"row": 1, "field": "kind"}),
        ({LONG: 1}, {"field": "x" * 200 + "…"}),
        ([{"kind": "a", LONG: 1}], {"row": 0, "field": "x" * 200 + "…"}),
    ],
    ids=["value", "value in a row", "name", "name in a row"],
)
def test_a_long_value_or_name_is_not_repeated(body: Any, members: dict[str, Any]) -> None:
    refusal = refused(body)
    assert refusal.members == members
    assert len(refusal.body("id")) < 1500


@pytest.mark.parametrize("body", [{CROOKED: 1}, [{CROOKED: 1}]], ids=["one", "many"])
def test_a_name_that_looks_like_a_path_costs_no_time(body: Any) -> None:
    """With a search of the whole message, a fifth of this name held the event loop for 9 s."""
    start = time.process_time()  # what others use of the machine does not count
    assert len(refused(body).body("id")) < 1500
    assert time.process_time() - start < 1


def test_the_service_repeats_little(service: Service, good: dict) -> None:
    answer = ask(f"{service.url}/predict", good | {LONG: 1})
    assert answer.status == 422
    assert len(answer.body) < 1500


def test_of_a_name_that_is_given_twice_the_last_value_counts(
    service: Service, good: dict, examples: list[dict]
) -> None:
    """As in JavaScript and Python. To refuse it would take a second pass over each body."""
    others = [example["request"] for example in examples]
    name, first = next((name, row[name]) for row in others for name in row if row[name] != good.get(name, row[name]))
    text = json.dumps(good)
    twice = f'{{"{name}": {json.dumps(first)}, {text[1:]}'
    assert ask(f"{service.url}/predict", twice.encode()).json == ask(f"{service.url}/predict", good).json
    wrong = f'{text[:-1]}, "{name}": [1]}}'
    assert ask(f"{service.url}/predict", wrong.encode()).status == 422
