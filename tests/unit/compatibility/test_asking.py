"""Requests asked again: what is accepted, why the others are not, and which answers are the same."""

from collections.abc import Sequence
from typing import Any

from described import document

from delivery.compatibility.asking import UNLIKE, Asked, Reply, answered, by_document, distance, replay
from delivery.compatibility.interface import interface
from delivery.compatibility.results import Refusal, Replay


def doubled(rows: Sequence[dict[str, Any]]) -> Reply:
    """Answer twice the field, and refuse what is negative."""
    if any(row["x"] < 0 for row in rows):
        return Reply(refusal="x is out of range")
    return Reply([2.0 * row["x"] for row in rows])


def asked(*values: float, scores: Sequence[float] | None = None) -> Asked:
    return Asked([{"x": value} for value in values], scores)


def test_all_accepted_and_answered_as_before() -> None:
    requests = [asked(1, 2, scores=[2.0, 4.0]), asked(3, scores=[6.0])]
    assert replay(doubled, requests, 1e-6) == Replay(requests=2, accepted=2, compared=2, equal=2, largest=0.0)


def test_a_request_with_one_bad_row_is_refused_as_a_whole_and_the_reasons_are_counted() -> None:
    outcome = replay(doubled, [asked(1, -1), asked(-2), asked(3)], 1e-6)
    assert (outcome.requests, outcome.accepted, outcome.compared) == (3, 1, 0)
    assert outcome.refusals == (Refusal("x is out of range", 2),)


def test_the_largest_difference_of_a_score_and_the_share_that_is_equal() -> None:
    outcome = replay(doubled, [asked(1, 2, scores=[2.0, 4.25]), asked(1, scores=[2.0000001])], 1e-6)
    assert (outcome.compared, outcome.equal, outcome.largest) == (2, 1, 0.25)


def test_a_number_and_a_list_are_never_equal() -> None:
    assert distance(0.5, [0.5]) == UNLIKE
    assert distance([0.5, 0.5], [0.5, 0.25, 0.25]) == UNLIKE
    assert distance([[0.5, 0.5]], [[0.25, 0.75]]) == 0.25
    outcome = replay(lambda rows: Reply([[0.5, 0.5]]), [asked(1, scores=[0.5])], 1e-6)
    assert (outcome.equal, outcome.largest) == (0, UNLIKE)


def test_no_request_is_none_accepted_and_none_refused() -> None:
    assert replay(doubled, [], 1e-6) == Replay(requests=0, accepted=0)


def test_a_refusal_of_a_service_names_the_field_and_not_the_value() -> None:
    assert answered(200, {"predictions": [0.5]}) == Reply([0.5])
    assert answered(422, {"field": "hour", "detail": "secret"}) == Reply(refusal="422, hour")
    assert answered(500, {"detail": "secret"}) == Reply(refusal="500")
    assert answered(503, None) == Reply(refusal="503")


def test_a_version_that_does_not_run_is_asked_by_its_document() -> None:
    ask = by_document(interface(document([("x", int)])).row, limit=2)
    assert ask([{"x": 1}]) == Reply()
    assert ask([{"x": 1}, {"x": 1, "y": 2}]) == Reply(refusal="y is unknown")
    assert ask([{"x": 1}] * 3) == Reply(refusal="has more than 2 rows")
