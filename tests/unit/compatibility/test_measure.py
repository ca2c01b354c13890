"""A candidate measured against another version, in both directions."""

from collections.abc import Sequence
from typing import Annotated, Any

from described import document
from msgspec import Meta

from delivery.compatibility.asking import Ask, Asked, Reply, by_document
from delivery.compatibility.interface import interface
from delivery.compatibility.measure import Counterpart, drawn_of, measure
from delivery.compatibility.results import Refusal, VersionResult

OLD, NEW = document([("x", int)]), document([("x", int), ("gate", int, 0)])


def test_old_requests_are_asked_of_the_candidate_and_its_own_of_the_old_version() -> None:
    row = interface(NEW).row
    other = Counterpart("3", ("production",), ("staging",), OLD, [Asked([{"x": 1}]), Asked([{"x": 2}])])
    requests = [Asked([{"x": 1}]), Asked([{"x": 1, "gate": 7}])]
    result = measure(NEW, by_document(row, 10), requests, other, 1e-6)
    assert (result.version, result.serves, result.rollback_of) == ("3", ("production",), ("staging",))
    assert [(change.kind, change.breaks) for change in result.changes] == [("added", ("rollback",))]
    assert result.forward
    assert (result.forward.requests, result.forward.accepted) == (2, 2)
    assert result.back
    assert (result.back.requests, result.back.accepted) == (2, 1)
    assert result.back.refusals == (Refusal("gate is unknown", 1),)


def test_what_has_no_document_is_named_and_not_compared() -> None:
    ask = by_document({}, 10)
    assert measure(NEW, ask, [], Counterpart("3", skipped="no document"), 1e-6) == VersionResult(
        "3", skipped="no document"
    )
    broken = measure(NEW, ask, [], Counterpart("3", document={"paths": {}}), 1e-6)
    assert "does not describe /predict" in broken.skipped
    assert broken.changes == ()


SEATS = document([("seats", Annotated[int, Meta(ge=1, le=900)])])


def service(refused: Sequence[int] = (), factor: float = 1) -> Ask:
    """A version that refuses seats which its document allows, and answers with a multiple of the others."""

    def ask(rows: Sequence[dict[str, Any]]) -> Reply:
        if any(row["seats"] in refused for row in rows):
            return Reply(refusal="422, seats")
        return Reply([factor * row["seats"] for row in rows])

    return ask


def compared(candidate: Ask, old: Ask | None) -> VersionResult:
    """Both have the same document, and known requests that nobody refuses."""
    known = [Asked([{"seats": 150}], [150.0])]
    other = Counterpart("3", ("production",), document=SEATS, requests=known, ask=old)
    return measure(SEATS, candidate, known, other, 1e-6, drawn_of(SEATS, candidate, known))


def test_a_row_that_only_the_candidate_refuses_is_drawn_and_found() -> None:
    result = compared(service(refused=[900]), service())
    assert result.forward is not None
    assert result.forward.accepted == result.forward.requests, "no known request has it"
    assert result.drawn_forward is not None
    assert result.drawn_forward.refusals == (Refusal("422, seats", 1),)
    assert result.refused()


def test_a_row_that_only_the_old_code_refuses_is_drawn_and_found() -> None:
    result = compared(service(), service(refused=[1]))
    assert result.drawn_back is not None
    assert result.drawn_back.refusals == (Refusal("422, seats", 1),)
    assert result.refused()


def test_rows_that_their_own_version_refuses_are_nobodys() -> None:
    result = compared(service(refused=[1, 900]), service(refused=[1, 900]))
    assert result.drawn_forward is not None
    assert result.drawn_back is not None
    assert result.drawn_forward.requests == result.drawn_forward.equal == result.drawn_back.equal > 50
    assert not result.refused()


def test_other_scores_of_drawn_rows_are_measured_and_break_nothing() -> None:
    result = compared(service(factor=2), service())
    assert result.drawn_forward is not None
    assert (result.drawn_forward.equal, result.drawn_forward.largest) == (0, 900)
    assert not result.refused()


def test_without_its_code_rows_are_drawn_from_the_candidates_document_only() -> None:
    result = compared(service(), None)
    assert result.drawn_forward is None, "nobody says which rows it accepts"
    assert result.drawn_back is not None
    assert result.drawn_back.accepted == result.drawn_back.requests > 50
    assert drawn_of({"paths": {}}, service(), []) == []
