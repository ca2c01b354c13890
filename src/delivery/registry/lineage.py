"""Verb `lineage`: from a version back to its commit, data, numbers and environments."""

import argparse
import json

from delivery.registry import registry

ORDER = (
    "model.digest",
    "image.digest",
    "git.commit",
    "pull.request",
    "data.until",
    "data.digest",
    "dvc.lock.digest",
    "gate",
    "compared.with",
    "registered",
    "executor",
)


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("version", help="a number, as in the header X-Model-Version, or an alias")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def main(options: argparse.Namespace) -> None:
    found = of(options.version)
    if options.json:
        print(json.dumps(found, indent=1))
        return
    print(f"version {found['version']}" + "".join(f", {alias}" for alias in found["aliases"]))
    known = [name for name in ORDER if name in found["tags"]]
    others = {name for name in found["tags"] if ".event." not in name} - set(known)  # `history` lists those
    for name in [*known, *sorted(others)]:
        print(f"  {name:16} {found['tags'][name]}")
    for name, value in found["metrics"].items():
        print(f"  {name:16} {value:.4f}")


def of(which: str) -> dict:
    """Raises Failure when there is no such version or alias."""
    client = registry.connect()
    version = registry.find(client, which)
    metrics = client.get_run(str(version.run_id)).data.metrics
    return {
        "version": str(version.version),
        "aliases": version.aliases,
        "tags": dict(version.tags),
        "metrics": dict(sorted(metrics.items())),
        "artifacts": version.source,
    }
