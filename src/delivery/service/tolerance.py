"""Read requests that have more fields than the schema, and name those that are ignored."""

from collections import Counter
from collections.abc import Iterable
from types import new_class
from typing import Literal
from urllib.parse import quote

import msgspec
from msgspec import Struct

from delivery.service.problems import shortened

UnknownFields = Literal["refuse", "ignore", "warn"]
NAMES = 50  # that are counted by themselves: a client can make up any number
HEADER_NAMES = 10  # in the header of one answer
OTHER = "(others)"


def reader(request: type[Struct], unknown_fields: UnknownFields) -> type[Struct]:
    """Return the struct that reads a row: `request` itself, or one of the same name that ignores unknown fields."""
    if unknown_fields == "refuse":
        return request
    text = {"__doc__": request.__doc__, "__module__": request.__module__}
    return new_class(request.__name__, (request,), {"forbid_unknown_fields": False}, lambda body: body.update(text))


def known(request: type[Struct]) -> frozenset[str]:
    """Return the names of the request's fields in JSON."""
    return frozenset(request.__struct_encode_fields__)


def unknown(body: bytes, fields: frozenset[str]) -> list[str]:
    """Return the names in a body that are not `fields`, once for each row that has them.

    Raise what msgspec raises for a value that nobody could read back from the log: it skips values of unknown fields
    without a look at their UTF-8 and at the size of their numbers.
    """
    document = msgspec.json.decode(body)
    return [name for row in ([document] if isinstance(document, dict) else document) for name in row.keys() - fields]


def count(counts: Counter[str], names: Iterable[str]) -> None:
    """Add the names to the counts, each shortened, and those beyond the first NAMES as OTHER."""
    for name in names:
        short = shortened(name)
        counts[short if short in counts or len(counts) < NAMES else OTHER] += 1


def header(names: Iterable[str]) -> bytes:
    """Return the value of a header that lists some of the names, percent-encoded."""
    some = sorted(set(names))
    shown = [quote(shortened(name), safe="") for name in some[:HEADER_NAMES]]
    return ", ".join([*shown, "..."] if len(some) > HEADER_NAMES else shown).encode()
