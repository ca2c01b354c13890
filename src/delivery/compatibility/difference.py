"""Compare two OpenAPI documents of the service: what an old client meets in the new one, and a new client in the old one."""

from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import Any

from delivery.compatibility.covering import covers
from delivery.compatibility.interface import Interface, interface
from delivery.compatibility.results import Broken, Change, Kind
from delivery.compatibility.schema import Schema, branches
from delivery.compatibility.wording import changed_part, shown

LONGEST = 120  # characters of a value in a table
REQUEST, ANSWER = "request", "answer"


def difference(old: Any, new: Any) -> list[Change]:
    """Return how the document `new` differs from `old`; descriptions and examples do not count.

    Raise `ValueError` if one of them does not describe /predict.
    """
    before, now = interface(old), interface(new)
    return [
        *_values(before.row, now.row, REQUEST),
        *_limits(before.limits, now.limits),
        *_answers(before, now),
        *_refusals(before, now),
        *_names("header", before.headers, now.headers, rollback=False),
        *_names("endpoint", before.endpoints, now.endpoints, rollback=True),
    ]


def change(kind: Kind, place: str, before: str, now: str, *, clients: bool, rollback: bool) -> Change:
    """Return a change with texts of a length that a table can show."""
    sides: list[tuple[Broken, bool]] = [("clients", clients), ("rollback", rollback)]
    return Change(kind, _short(place), _short(before), _short(now), tuple(side for side, broken in sides if broken))


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."


def _values(old: Schema, new: Schema, place: str) -> Iterator[Change]:
    """Yield the changes of a value of the request; objects are compared field by field."""
    if old == new:
        return
    before, now = _object(old), _object(new)
    if before and now and _beside(old) == _beside(new):
        yield from _fields(before, now, place)
        return
    clients, rollback = not covers(new, old), not covers(old, new)
    if clients or rollback:
        yield change(changed_part(old, new), place, shown(old), shown(new), clients=clients, rollback=rollback)


def _object(schema: Schema) -> dict[str, Any] | None:
    """Return the one alternative of a schema that is an object with fields."""
    objects = [each for each in branches(schema) if each.get("properties")]
    return objects[0] if len(objects) == 1 else None


def _beside(schema: Schema) -> list[dict[str, Any]]:
    """Return what a schema says apart from the fields of its object."""
    fields = {"properties", "required", "additionalProperties"}
    return [
        {name: each[name] for name in each.keys() - fields} if each.get("properties") else each
        for each in branches(schema)
    ]


def _fields(old: dict[str, Any], new: dict[str, Any], place: str) -> Iterator[Change]:
    before, now = old["properties"], new["properties"]
    needed, needs = set(old.get("required", ())), set(new.get("required", ()))
    strict = old.get("additionalProperties", True) is False, new.get("additionalProperties", True) is False
    removed, added = [name for name in before if name not in now], [name for name in now if name not in before]
    for one, other in _renamed(removed, added, before, now):
        removed.remove(one)
        added.remove(other)
        clients, rollback = strict[1] or other in needs, strict[0] or one in needed
        yield change("renamed", f"{place}.{one}", one, other, clients=clients, rollback=rollback)
    for name in removed:
        text = f"{shown(before[name])}, {_need(name in needed)}"
        yield change("removed", f"{place}.{name}", text, "", clients=strict[1], rollback=name in needed)
    for name in added:
        text = f"{shown(now[name])}, {_need(name in needs)}"
        yield change("added", f"{place}.{name}", "", text, clients=name in needs, rollback=strict[0])
    for name in (name for name in before if name in now):
        yield from _values(before[name], now[name], f"{place}.{name}")
        if (name in needed) != (name in needs):
            kind: Kind = "now required" if name in needs else "now optional"
            yield change(kind, f"{place}.{name}", "", "", clients=name in needs, rollback=name in needed)
    yield from _tolerance(old.get("additionalProperties", True), new.get("additionalProperties", True), place)


def _tolerance(old: Schema, new: Schema, place: str) -> Iterator[Change]:
    if old != new:
        texts = ["refused" if each is False else "ignored" if each is True else shown(each) for each in (old, new)]
        # Clients do not send what a version ignores on purpose; by mistake they do, and were answered.
        broken = not (isinstance(old, bool) and isinstance(new, bool))
        clients = not covers(new, old)
        yield change("unknown fields", place, *texts, clients=clients, rollback=broken and not covers(old, new))


def _need(required: bool) -> str:
    return "required" if required else "optional"


def _renamed(
    removed: Sequence[str], added: Sequence[str], before: dict[str, Any], now: dict[str, Any]
) -> list[tuple[str, str]]:
    """Return pairs of a removed and an added field with the same schema: the only ones of it, or alike in name."""
    pairs = [(one, other) for one in removed for other in added if before[one] == now[other]]

    def likeness(pair: tuple[str, str]) -> float:
        return SequenceMatcher(None, *pair).ratio()

    chosen: list[tuple[str, str]] = []
    for pair in sorted(pairs, key=likeness, reverse=True):
        rivals = [other for other in pairs if other != pair and (other[0] == pair[0] or other[1] == pair[1])]
        taken = any(pair[0] == one or pair[1] == other for one, other in chosen)
        if not taken and (not rivals or likeness(pair) > 0.5):
            chosen.append(pair)
    return chosen


def _limits(old: dict[str, int], new: dict[str, int]) -> Iterator[Change]:
    for name, limit in old.items():
        if limit != new[name]:
            lower = new[name] < limit
            yield change("limit", name, f"{limit:,}", f"{new[name]:,}", clients=lower, rollback=not lower)


def _answers(old: Interface, new: Interface) -> Iterator[Change]:
    clients, rollback = not covers(old.answer, new.answer), not covers(new.answer, old.answer)
    if clients or rollback:
        texts = shown(_prediction(old.answer)), shown(_prediction(new.answer))
        yield change("answer", ANSWER, *texts, clients=clients, rollback=rollback)
    if old.classes is not None and new.classes is not None and old.classes != new.classes:
        # Also where only their order differs: the same number then stands for another class.
        texts = ", ".join(old.classes) or "a number", ", ".join(new.classes) or "a number"
        yield change("classes", ANSWER, *texts, clients=True, rollback=True)


def _prediction(answer: Schema) -> Schema:
    """Return the schema of one prediction, or of the whole answer if it has none."""
    objects = (each.get("properties", {}) for each in branches(answer))
    return next((fields["prediction"] for fields in objects if "prediction" in fields), answer)


def _refusals(old: Interface, new: Interface) -> Iterator[Change]:
    """Yield changes of the status codes. Clients treat an unknown 4xx or 5xx as the first of its class (RFC 9110)."""
    for status in sorted(old.statuses ^ new.statuses):
        good = status.startswith("2")
        before, now = (status if status in each.statuses else "" for each in (old, new))
        yield change("status", f"status {status}", before, now, clients=good, rollback=good)
    if old.guarded != new.guarded:
        texts = ["needed" if each.guarded else "not needed" for each in (old, new)]
        yield change("token", REQUEST, *texts, clients=new.guarded, rollback=old.guarded)


def _names(kind: Kind, old: frozenset[str], new: frozenset[str], *, rollback: bool) -> Iterator[Change]:
    """Yield what was removed, which old clients miss, and what was added, which new ones miss after a rollback."""
    for name in sorted(old - new):
        yield change(kind, name, name, "", clients=True, rollback=False)
    for name in sorted(new - old):
        yield change(kind, name, "", name, clients=False, rollback=rollback)
