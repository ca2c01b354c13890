"""Report errors in the form of RFC 9457 (problem+json), with row and field if they are known."""

import re
from http import HTTPStatus
from typing import Any

import msgspec

CONTENT_TYPE = b"application/problem+json"
PLACE = re.compile(r" - at `\$(?:\[(?P<row>\d+)\])?(?P<path>.*)`$")
LONGEST_PATH = 1000  # characters of the end of msgspec's message that are searched for the path
LONGEST_TEXT = 200  # characters of a client's own text that a refusal repeats
NAMED = re.compile(r"(?:missing required|contains unknown) field `(?P<field>[^`]*)`")


class Problem(Exception):
    """An error of a request, answered as problem+json. `unread`: whether it was raised before the body was read."""

    def __init__(
        self,
        status: int,
        detail: str,
        headers: dict[str, str] | None = None,
        *,
        unread: bool = False,
        **members: object,
    ):
        super().__init__(detail)
        self.status, self.detail, self.members = status, detail, members
        self.headers, self.unread = headers or {}, unread

    def body(self, request_id: str) -> bytes:
        """Return the problem+json document."""
        document = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            **self.members,
            "request_id": request_id,
        }
        return msgspec.json.encode(document)


def invalid(error: msgspec.ValidationError) -> Problem:
    """Return a problem 422 for a value that breaks the schema, with row (from 0) and field if msgspec names them."""
    text = str(error)  # holds field names and values of any length, as the client sent them
    path = PLACE.search(text, max(0, len(text) - LONGEST_PATH))
    cause = shortened(text[: path.start()] if path else text)
    members: dict[str, Any] = {}
    if path and path["row"]:
        members["row"] = int(path["row"])
    named = NAMED.search(text)
    field = named["field"] if named else path["path"].lstrip(".") if path else ""
    if field:
        members["field"] = shortened(field)
    position = ", ".join(f"{name} {value}" for name, value in members.items())
    return Problem(422, f"{position}: {cause}" if position else cause, **members)


def shortened(text: str) -> str:
    """Return the text, or its beginning if it is too long for a refusal."""
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}…"
