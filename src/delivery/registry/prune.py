"""Verb `prune`: remove the files of old versions from the store and keep the record of their decisions.

Versions that serve, versions that an environment may be rolled back to, and the newest versions keep their files. Of the
others the record stays for ever: number, tags, metrics, card, the gate's evidence. Their commit can make the model again.
"""

import argparse
import shutil
from pathlib import Path

from delivery.adapters import provenance, store
from delivery.core.errors import Failure
from delivery.registry import registry, stored
from delivery.registry.version import environments, pruned_tags, served

EVIDENCE = ("card.md", "gate.json", "metrics.json", "params.yaml", "records.json")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the verb."""
    parser.add_argument(
        "--keep",
        type=int,
        default=10,
        metavar="N",
        help="number of versions to keep: the newest ones, and the last ones of each environment",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="list the versions that would lose their files, and change nothing"
    )


def main(options: argparse.Namespace) -> None:
    """Remove the files of old versions and push the store, or list them. Raise `Failure` without a registry in the store."""
    if options.keep < 1:
        raise Failure(f"--keep {options.keep} is too few; keep at least one version besides those that serve")
    if registry.address():
        raise Failure("the registry is a server of its own; remove its old versions with `mlflow gc`")
    if not registry.exists():
        raise Failure("the store has no registry; run `delivery store pull`")
    pruned = run(options.keep, dry=options.dry_run)
    verb = "would lose" if options.dry_run else "lost"
    print(f"prune: {', '.join(f'version {number}' for number in pruned) or 'no version'} {verb} its files")
    if pruned and not options.dry_run:
        print(store.push("Prune", redo=lambda: run(options.keep)))


def run(keep: int, *, dry: bool = False) -> list[str]:
    """Remove the files of the versions that are neither in use nor recent; return their numbers, newest first."""
    with registry.connection():
        known = registry.versions()
        spared = {version.number for version in known[:keep]}
        for environment in environments(known):
            last_served = [number for _, number in reversed(served(known, environment))]
            spared |= set(list(dict.fromkeys(last_served))[:keep])
        old = [v for v in known if v.number not in spared and not v.aliases and not v.pruned]
        for version in [] if dry else old:
            remove_files(stored.folder(version.source))
            registry.tag(version.number, pruned_tags(provenance.now()))
    return [version.number for version in old]


def remove_files(folder: Path) -> None:
    """Remove a version's files, except for the evidence."""
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name not in EVIDENCE:
            path.unlink()
