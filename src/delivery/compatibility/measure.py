"""Measure a candidate against the versions that clients may meet before or after it."""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from delivery.compatibility import drawing
from delivery.compatibility.asking import Ask, Asked, Row, accepted, by_document, replay
from delivery.compatibility.difference import difference
from delivery.compatibility.interface import interface
from delivery.compatibility.results import VersionResult


class Counterpart(Struct, frozen=True):
    """A version to compare with: where it serves, what it would be rolled back to from, its document and requests.

    `ask` asks its own code; None if that does not run, and `unstarted` says why.
    """

    version: str
    serves: tuple[str, ...] = ()
    rollback_of: tuple[str, ...] = ()
    document: Any = None
    requests: Sequence[Asked] = ()
    ask: Ask | None = None
    unstarted: str = ""
    skipped: str = ""  # why there is no document
    beyond: str = ""  # why nothing of it is judged


def measure(
    candidate: Any,
    ask: Ask,
    requests: Sequence[Asked],
    other: Counterpart,
    tolerance: float,
    drawn: Sequence[Asked] = (),
) -> VersionResult:
    """Return how the candidate and another version differ for their clients.

    The candidate has a document, answers by `ask`, and its clients send `requests`; `drawn` are rows of its document that it
    accepts. Rows of the other document are drawn if that version's own code says which of them it accepts.
    """
    named = VersionResult(other.version, other.serves, other.rollback_of, skipped=other.skipped)
    if other.skipped:
        return named
    try:
        changes = difference(other.document, candidate)
        there = interface(other.document)
    except ValueError as error:
        return replace(named, skipped=str(error))
    back = other.ask or by_document(there.row, there.limits["max_rows"])
    theirs = drawn_of(other.document, other.ask, other.requests) if other.ask else []
    return replace(
        named,
        changes=tuple(changes),
        forward=replay(ask, other.requests, tolerance),
        back=replay(back, requests, tolerance),
        drawn_forward=replay(ask, theirs, tolerance) if theirs else None,
        drawn_back=replay(back, drawn, tolerance) if drawn else None,
        unstarted=other.unstarted,
        beyond=other.beyond,
    )


def drawn_of(document: Any, ask: Ask, requests: Sequence[Asked]) -> list[Asked]:
    """Return rows drawn from a version's document that it accepts, with its scores; none if it describes no /predict."""
    try:
        row = interface(document).row
    except ValueError:
        return []
    return accepted(ask, drawing.drawn(row, rows(requests)))


def rows(requests: Sequence[Asked]) -> list[Row]:
    """Return the rows of all requests."""
    return [row for request in requests for row in request.rows]
