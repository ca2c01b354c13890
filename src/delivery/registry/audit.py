"""Verb `audit`: list every move of an environment to a version: how, when, by whom, and the evidence for it."""

import argparse
import json

import msgspec
from msgspec import Struct, field

from delivery.registry import history, integrity, registry
from delivery.registry.version import Event, Version, events, tag_key

HEAD = "| time | environment | version | how | why | by | commit | pull request | approved by | gate | image | in git |"
SHOWN = 12  # characters of a digest in the table; --json has them whole
SIGN = {"recorded": "✅", "not recorded": "no", "different": "❌"}


class Move(Struct, frozen=True):
    """An event that succeeded, with the evidence for its version; what is not on record is empty."""

    time: str
    environment: str
    version: str
    how: str
    reason: str
    by: str
    run: str
    commit: str = field(name=tag_key("commit"))
    pull: str = field(name=tag_key("pull"))
    approved_by: str = field(name=tag_key("approved_by"))
    merged_by: str = field(name=tag_key("merged_by"))
    gate: str
    image: str = field(name=tag_key("image"))
    model: str = field(name=tag_key("digest"))
    data: str = field(name=tag_key("data"))
    record: integrity.Finding


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the verb."""
    parser.add_argument("environment", nargs="?", default="", help="environment to list; without it, all of them")
    parser.add_argument("--json", action="store_true", help="print the list as JSON")


def main(options: argparse.Namespace) -> int:
    """Print the moves of one environment, or of all, and return 1 if a version is not what git records."""
    listed = [move for move in moves() if options.environment in ("", move.environment)]
    print(json.dumps(msgspec.to_builtins(listed), indent=1) if options.json else markdown(listed))
    return int(any(move.record.state == "different" for move in listed))


def moves() -> list[Move]:
    """Return the events of `history` that succeeded, oldest first."""
    if not registry.exists():
        return []
    known = registry.versions()
    by_number = {version.number: version for version in known}
    made = [event for event in events(known) if event.outcome == "succeeded"]
    records = {
        number: integrity.examine(by_number[number]) for number in dict.fromkeys(event.version for event in made)
    }
    return [_move(event, by_number[event.version], records[event.version]) for event in made]


def _move(event: Event, version: Version, record: integrity.Finding) -> Move:
    return Move(
        time=event.time,
        environment=event.environment,
        version=event.version,
        how=event.how,
        reason=event.reason,
        by=event.by,
        run=event.run,
        commit=version.commit,
        pull=version.pull,
        approved_by=version.approved_by,
        merged_by=version.merged_by,
        gate=version.gate,
        image=event.image,  # the event's: the version may have another one by now
        model=version.digest,
        data=version.data,
        record=record,
    )


def markdown(listed: list[Move]) -> str:
    """Return promotions, deployments and rollbacks as a Markdown table."""
    if not listed:
        return "Nothing was ever promoted or deployed."
    rows = [
        [
            move.time,
            move.environment,
            move.version,
            move.how,
            history.escape(move.reason) or "-",
            move.by,
            f"`{move.commit[:SHOWN]}`",
            f"#{move.pull}" if move.pull else "none",
            move.approved_by or "nobody",
            move.gate,
            f"`{move.image.rpartition(':')[2][:SHOWN]}`" if move.image else "none",
            SIGN[move.record.state],
        ]
        for move in listed
    ]
    lines = ["| " + " | ".join(cell.replace("|", "/") or "not on record" for cell in row) + " |" for row in rows]
    exchanged = {move.version: f"\n❌ {move.record.text}" for move in listed if move.record.state == "different"}
    return "\n".join([HEAD, "|---" * (HEAD.count("|") - 1) + "|", *lines, *exchanged.values()])
