"""Documents keep their bytes, are read as structs, and name the verb that writes them if they cannot be read."""

import json
from pathlib import Path

import numpy as np
import pytest
from msgspec import Struct

from delivery.core import documents
from delivery.core.bounds import Count, Name
from delivery.core.errors import Failure

PATH = Path("figures.json")


class Part(Struct, frozen=True):
    name: Name
    share: float


class Figures(Struct, frozen=True):
    rows: Count
    parts: tuple[Part, ...]
    more: dict[str, Part] = {}


FIGURES = Figures(3, (Part("a", np.float64(1 / 3)), Part("b", 1)), {"c": Part("c", 0.5)})


def test_a_document_is_written_sorted_and_rounded_and_read_back(folder: Path) -> None:
    documents.write(PATH, FIGURES)
    assert json.loads(PATH.read_text()) == {
        "more": {"c": {"name": "c", "share": 0.5}},
        "parts": [{"name": "a", "share": 0.333333}, {"name": "b", "share": 1}],
        "rows": 3,
    }
    assert PATH.read_text().startswith('{\n "more": {\n')
    read = documents.read(PATH, Figures, "run")
    assert read == Figures(3, (Part("a", 0.333333), Part("b", 1.0)), {"c": Part("c", 0.5)})


def test_builtins_keep_the_order_of_the_fields() -> None:
    assert list(documents.as_builtins(FIGURES)) == ["rows", "parts", "more"]


def test_a_missing_document_is_named_with_the_verb_that_makes_it(folder: Path) -> None:
    with pytest.raises(Failure, match=r"^figures\.json is missing; run `delivery gate` first$"):
        documents.read(PATH, Figures, "gate")


@pytest.mark.parametrize(
    "text",
    [
        "no JSON",
        "[]",
        '{"rows": 3}',
        '{"rows": -1, "parts": []}',
        '{"rows": 1.5, "parts": []}',
        '{"rows": 3, "parts": [{"name": "%s", "share": 0}]}' % ("x" * 201),
        '{"rows": 3, "parts": [{"name": "x", "share": NaN}]}',
        '{"rows": 3, "parts": [{"name": "x", "share": 1e999}]}',
    ],
)
def test_a_document_of_another_form_is_refused_in_one_line(text: str, folder: Path) -> None:
    PATH.write_text(text)
    with pytest.raises(Failure, match=r"^figures\.json is no Figures \(.*\); run `delivery gate` again$"):
        documents.read(PATH, Figures, "gate")
