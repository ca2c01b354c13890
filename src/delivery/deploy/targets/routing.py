"""How HAProxy picks a version for a request during a canary: by chance, by a caller's header, or as the request wants.

Both headers are a team's choice in params.yaml. Without them HAProxy's file has no line of this but `balance random(1)`.
"""

from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from delivery.core import files

MAP = "versions.map"  # in the environment's folder, where HAProxy runs: version to slot
CALLER = "X-Delivery-Caller"  # what is hashed; a request without the team's header gets a random one
RANDOM = """\
    # Random rather than round-robin, which may skip a server for hundreds of requests after a change of weights.
    balance random(1)"""
STICKY = f"""\
    # Consistent: when the new version's share grows, callers move to it and none moves back.
    balance hdr({CALLER})
    hash-type consistent djb2 avalanche"""
KINDS = ("balance ", "hash-type ", "use-server ", "http-request set-header ")


class Routing(Struct, frozen=True):
    """The headers, and which versions a request may ask for now."""

    sticky_header: str = ""
    version_header: str = ""
    versions: Mapping[str, str] = {}
    """Version to slot; empty unless a canary runs."""


def frontend(routing: Routing) -> list[str]:
    """Return the lines of HAProxy's frontend."""
    if not routing.sticky_header:
        return []
    value = f"req.fhdr({routing.sticky_header})"
    # Hashed first: a value with commas would count as several. Without a value each request is a caller of its own.
    return [
        f"    http-request set-header {CALLER} %[{value},xxh32] if {{ {value} -m len gt 0 }}",
        f"    http-request set-header {CALLER} %[rand(4294967295)] unless {{ {value} -m len gt 0 }}",
    ]


def backend(routing: Routing, slots: tuple[str, ...]) -> list[str]:
    """Return the lines of HAProxy's backend."""
    wanted = f"req.fhdr({routing.version_header}),map_str({MAP})"
    chosen = (
        [f"    use-server {slot} if {{ {wanted} -m str {slot} }}" for slot in slots] if routing.version_header else []
    )
    return [STICKY if routing.sticky_header else RANDOM, *chosen]


def same(one: str, other: str) -> bool:
    """Return whether two texts of HAProxy's file pick servers in the same way: what cannot be changed at run time."""
    return _picking(one) == _picking(other)


def _picking(text: str) -> list[str]:
    return [line for line in map(str.strip, text.splitlines()) if line.startswith(KINDS)]


def lines(routing: Routing) -> str:
    """Return the content of the map."""
    return "".join(f"{version} {slot}\n" for version, slot in sorted(routing.versions.items()))


def written(folder: Path, routing: Routing) -> bool:
    """Write the map for a proxy that reads it at its start; return whether it was another one."""
    path, text = folder / MAP, lines(routing)
    if not routing.version_header or (path.exists() and path.read_text() == text):
        return False
    files.write(path, text)
    return True
