"""Verb `audit`: every time an environment got a version: what moved it, who, when, and the evidence for it."""

import argparse
import json

from delivery import registry

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
SHOWN = 12  # characters of a digest in the table; --json has them whole


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("environment", nargs="?", default="", help="only this one, such as production")
    parser.add_argument("--json", action="store_true", help="print the list as JSON")


def main(options: argparse.Namespace) -> None:
    found = [move for move in moves() if options.environment in ("", move["environment"])]
    print(json.dumps(found, indent=1) if options.json else markdown(found))


def moves() -> list[dict[str, str]]:
    """Oldest first; what is not on record is an empty string."""
    if not registry.exists():
        return []
    versions = registry.versions(registry.connect())
    environments = {name.removesuffix(".since") for v in versions for name in v.tags if name.endswith(".since")}
    tags = {str(version.version): version.tags for version in versions}
    return sorted(
        (
            {"time": time, "environment": environment, "version": number}
            | dict(zip(("how", "by"), registry.moved(tags[number], environment, time), strict=True))
            | {name: tags[number].get(name, "") for name in EVIDENCE}
            for environment in environments
            for time, number in registry.history(versions, environment)
        ),
        key=lambda move: (move["time"], move["environment"], int(move["version"])),
    )


def markdown(found: list[dict[str, str]]) -> str:
    if not found:
        return "Nothing was ever promoted or deployed."
    head = ["time", "environment", "version", "how", "by", "commit", "pull request", "approved by", "gate", "image"]
    rows = [
        [
            *(move[name] for name in ("time", "environment", "version", "how", "by")),
            f"`{move['git.commit'][:SHOWN]}`",
            f"#{move['pull.request']}" if move["pull.request"] else "none",
            move["approved.by"] or "nobody",
            move["gate"],
            f"`{move['image.digest'].rpartition(':')[2][:SHOWN]}`" if move["image.digest"] else "none",
        ]
        for move in found
    ]
    lines = ["| " + " | ".join(cell.replace("|", "/") or "not on record" for cell in row) + " |" for row in rows]
    return "\n".join(["| " + " | ".join(head) + " |", "|---" * len(head) + "|", *lines])
