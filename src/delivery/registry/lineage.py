"""Verb `lineage`: print the commit, data, metrics and environments of a version."""

import argparse
import json
from collections.abc import Mapping

import msgspec
from msgspec import Struct

from delivery.registry import registry
from delivery.registry.version import is_event, tag_key

FIRST = (
    "changes",
    "release",
    "digest",
    "image",
    "commit",
    "pull",
    "data_until",
    "data",
    "lock",
    "gate",
    "compared_with",
    "registered",
    "executor",
)


class Origins(Struct, frozen=True):
    """A version with everything that the registry knows about it."""

    version: str
    aliases: tuple[str, ...]
    tags: Mapping[str, str]
    metrics: Mapping[str, float]
    artifacts: str


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the verb."""
    parser.add_argument("version", help="number of the version, as in the header X-Model-Version, or an alias")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def main(options: argparse.Namespace) -> None:
    """Print what a version was made of, as text or JSON."""
    origins = trace(options.version)
    print(json.dumps(msgspec.to_builtins(origins), indent=1) if options.json else text(origins))


def text(origins: Origins) -> str:
    """Return one line for each tag and metric, the best known tags first."""
    keys = [key for key in map(tag_key, FIRST) if key in origins.tags]
    others = {key for key in origins.tags if not is_event(key)} - set(keys)  # `history` lists the events
    return "\n".join(
        [
            f"version {origins.version}" + "".join(f", {alias}" for alias in origins.aliases),
            *(f"  {key:16} {origins.tags[key]}" for key in [*keys, *sorted(others)]),
            *(f"  {name:16} {value:.4f}" for name, value in origins.metrics.items()),
        ]
    )


def trace(which: str) -> Origins:
    """Return what the registry knows of a version. Raise `Failure` if no version has this number or alias."""
    registry.refuse_absent()  # before the connection, which would make one
    with registry.connection():
        version = registry.find(which)
        metrics = registry.metrics(version)
    return Origins(
        version=version.number,
        aliases=version.aliases,
        tags=dict(version.tags),
        metrics=dict(sorted(metrics.items())),
        artifacts=version.source,
    )
