"""Ask requests of one version of another one, and count what is accepted and what is answered equally."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from msgspec import Struct

from delivery.compatibility.refusing import refusal
from delivery.compatibility.results import Refusal, Replay
from delivery.compatibility.schema import Schema

Row = dict[str, Any]
Score = float | list[float]
SHOWN = 20  # reasons at most, the most frequent first
LONGEST = 200  # characters of one


class Asked(Struct, frozen=True):
    """A request, and the scores that were given to it if they are known."""

    rows: Sequence[Row]
    scores: Sequence[Score] | None = None


class Reply(Struct, frozen=True):
    """The scores of a request, or why it was refused. Neither: it was accepted, and nobody computed scores."""

    scores: Sequence[Score] | None = None
    refusal: str = ""


def answered(status: int, document: Any) -> Reply:
    """Return what a service answered; a refusal by its status and field, without the value that it quotes."""
    if status == 200:
        return Reply(document["predictions"])
    field = document.get("field") if isinstance(document, dict) else ""
    return Reply(refusal=f"{status}, {field}" if field else str(status))


Ask = Callable[[Sequence[Row]], Reply]


def replay(ask: Ask, requests: Iterable[Asked], tolerance: float) -> Replay:
    """Return what came of the requests. Answers are equal if no score differs by more than `tolerance`."""
    accepted, reasons, differences = 0, Counter[str](), list[float]()
    for request in requests:
        reply = ask(request.rows)
        if reply.refusal:
            reasons[reply.refusal[:LONGEST]] += 1
            continue
        accepted += 1
        if request.scores is not None and reply.scores is not None:
            differences.append(distance(request.scores, reply.scores))
    return Replay(
        requests=accepted + reasons.total(),
        accepted=accepted,
        compared=len(differences),
        equal=sum(each <= tolerance for each in differences),
        largest=min(max(differences, default=0.0), UNLIKE),
        refusals=tuple(Refusal(reason, count) for reason, count in reasons.most_common(SHOWN)),
    )


def accepted(ask: Ask, rows: Iterable[Row]) -> list[Asked]:
    """Return the rows that a version accepts, each as a request with the scores that it gives."""
    replies = [(row, ask([row])) for row in rows]
    return [Asked([row], reply.scores) for row, reply in replies if not reply.refusal]


UNLIKE = 1e30  # between answers of another form: a number and a list, or lists of another length


def distance(one: Any, other: Any) -> float:
    """Return the largest difference between two answers, UNLIKE if they are of another form."""
    if isinstance(one, int | float) and isinstance(other, int | float):
        return abs(one - other)
    if isinstance(one, Sequence) and isinstance(other, Sequence) and len(one) == len(other):
        return max(map(distance, one, other), default=0.0)
    return UNLIKE


def by_document(row: Schema, limit: int) -> Ask:
    """Return a way to ask a version that does not run: its document's schema of a row and largest number of rows."""

    def ask(rows: Sequence[Row]) -> Reply:
        if len(rows) > limit:
            return Reply(refusal=f"has more than {limit:,} rows")
        return Reply(refusal=next(filter(None, (refusal(row, each) for each in rows)), ""))

    return ask
