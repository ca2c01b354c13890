"""What clients see of a version, read from its OpenAPI document."""

from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from delivery.compatibility.schema import Schema, resolved


class Interface(Struct, frozen=True):
    """What clients see of a version, read from its document."""

    row: Schema
    limits: dict[str, int]
    answer: Schema  # of one row and of many
    classes: list[str] | None  # None: the document is from before it named them
    statuses: frozenset[str]
    headers: frozenset[str]
    guarded: bool
    endpoints: frozenset[str]


def interface(document: Any) -> Interface:
    """Read a document. Raise `ValueError` if it does not describe /predict."""
    try:
        predict = document["paths"]["/predict"]["post"]
        body, answer = predict["requestBody"], predict["responses"]["200"]
        rows = next(each for each in _content(body)["anyOf"] if each.get("type") == "array")
        return Interface(
            row=resolved(rows["items"], document),
            limits={"max_rows": rows["maxItems"], "max_bytes": body["x-max-bytes"]},
            answer=_readable(resolved(_content(answer), document)),
            classes=next(_classes(_content(answer)), None),
            statuses=frozenset(predict["responses"]),
            headers=frozenset(answer.get("headers", ())),
            guarded=bool(predict.get("security")),
            endpoints=frozenset(
                f"{method.upper()} {path}" for path, methods in document["paths"].items() for method in methods
            ),
        )
    except (KeyError, TypeError, AttributeError, StopIteration) as error:
        raise ValueError(f"the document does not describe /predict ({error})") from None


def _content(body: Any) -> Any:
    return body["content"]["application/json"]["schema"]


def _classes(schema: Any) -> Iterator[list[str]]:
    """Yield the names of the classes, wherever in the answer's schema they are."""
    for name, value in schema.items() if isinstance(schema, dict) else enumerate(schema):
        if name == "x-classes":
            yield value
        elif isinstance(value, dict | list):
            yield from _classes(value)


def _readable(answer: Schema) -> Schema:
    """Return the schema of what a client can read: it ignores members of an answer that it does not know."""
    if isinstance(answer, dict):
        kept = {name: _readable(each) for name, each in answer.items()}
        return {name: each for name, each in kept.items() if (name, each) != ("additionalProperties", False)}
    return [_readable(each) for each in answer] if isinstance(answer, list) else answer
