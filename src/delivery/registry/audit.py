"""Verb `audit`: every time an environment got a version: what moved it, who, when, and the evidence for it."""

import argparse
import json

from delivery.registry import history, registry
from delivery.registry.transitions import events

EVENT = ("time", "environment", "version", "how", "reason", "by", "run")
EVIDENCE = (
    "git.commit",
    "pull.request",
    "approved.by",
    "merged.by",
    "gate",
    "image.digest",
    "model.digest",
    "data.digest",
)
HEAD = "| time | environment | version | how | why | by | commit | pull request | approved by | gate | image |"
SHOWN = 12  # characters of a digest in the table; --json has them whole


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("environment", nargs="?", default="", help="only this one, such as production")
    parser.add_argument("--json", action="store_true", help="print the list as JSON")


def main(options: argparse.Namespace) -> None:
    found = [move for move in moves() if options.environment in ("", move["environment"])]
    print(json.dumps(found, indent=1) if options.json else markdown(found))


def moves() -> list[dict[str, str]]:
    """The events of `history` that succeeded, oldest first; what is not on record is an empty string."""
    if not registry.exists():
        return []
    versions = registry.versions(registry.connect())
    tags = {str(version.version): version.tags for version in versions}
    return [
        {name: getattr(event, name) for name in EVENT}
        | {name: tags[event.version].get(name, "") for name in EVIDENCE}
        | {"image.digest": event.image}  # the version may have got another one since
        for event in events(versions)
        if event.outcome == "succeeded"
    ]


def markdown(found: list[dict[str, str]]) -> str:
    if not found:
        return "Nothing was ever promoted or deployed."
    rows = [
        [
            *(move[name] for name in ("time", "environment", "version", "how")),
            history.plain(move["reason"]) or "-",
            move["by"],
            f"`{move['git.commit'][:SHOWN]}`",
            f"#{move['pull.request']}" if move["pull.request"] else "none",
            move["approved.by"] or "nobody",
            move["gate"],
            f"`{move['image.digest'].rpartition(':')[2][:SHOWN]}`" if move["image.digest"] else "none",
        ]
        for move in found
    ]
    lines = ["| " + " | ".join(cell.replace("|", "/") or "not on record" for cell in row) + " |" for row in rows]
    return "\n".join([HEAD, "|---" * (HEAD.count("|") - 1) + "|", *lines])
