"""Refusals in the form of RFC 9457 (problem+json), with the row and the field where there is one."""

import re
from http import HTTPStatus
from typing import Any

import msgspec

CONTENT_TYPE = b"application/problem+json"
PLACE = re.compile(r" - at `\$(?:\[(?P<row>\d+)\])?(?P<path>.*)`$")
NAMED = re.compile(r"(?:missing required|contains unknown) field `(?P<field>[^`]*)`")


class Problem(Exception):
    """Raised anywhere in a request, answered as problem+json. `unread`: before its body was read."""

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
    """A value that breaks the schema: 422, naming row (from 0) and field as far as msgspec knows them."""
    text = str(error)
    found = PLACE.search(text)
    what = text[: found.start()] if found else text
    members: dict[str, Any] = {}
    if found and found["row"]:
        members["row"] = int(found["row"])
    named = NAMED.search(text)
    field = named["field"] if named else found["path"].lstrip(".") if found else ""
    if field:
        members["field"] = field
    where = ", ".join(f"{name} {value}" for name, value in members.items())
    return Problem(422, f"{where}: {what}" if where else what, **members)
