"""Verb `prune`: the files of old versions go from the store; what was decided about them stays.

Kept whole are what serves, what an environment may be rolled back to, and the newest versions. Of the others the
record stays for ever: number, tags, metrics, card, the gate's evidence. Their commit makes their model again.
"""

import argparse
import shutil
from pathlib import Path

from delivery.adapters import provenance, store
from delivery.core.errors import Failure
from delivery.registry import registry, transitions

EVIDENCE = ("card.md", "gate.json", "metrics.json", "params.yaml", "records.json")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--keep", type=int, default=10, metavar="N", help="newest versions, and last ones of each environment"
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would go")


def main(options: argparse.Namespace) -> None:
    if options.keep < 1:
        raise Failure(f"--keep {options.keep}: what serves is kept in any case, and at least one more")
    if registry.address():
        raise Failure("the registry is a server of its own; `mlflow gc` on it removes what is old")
    if not registry.exists():
        raise Failure("there is no registry here; `delivery store pull` brings it")
    gone = run(options.keep, dry=options.dry_run)
    said = "would lose" if options.dry_run else "lost"
    print(f"prune: {', '.join(f'version {number}' for number in gone) or 'no version'} {said} its files")
    if gone and not options.dry_run:
        print(store.push("Prune", redo=lambda: run(options.keep)))


def run(keep: int, *, dry: bool = False) -> list[str]:
    """The versions whose files go."""
    client = registry.connect()
    versions = registry.versions(client)
    spared = {str(version.version) for version in versions[:keep]}
    for environment in {name.removesuffix(".since") for v in versions for name in v.tags if name.endswith(".since")}:
        served = [number for _, number in reversed(transitions.of(versions, environment))]
        spared |= set(list(dict.fromkeys(served))[:keep])
    gone = [v for v in versions if str(v.version) not in spared and not v.aliases and registry.PRUNED not in v.tags]
    for version in [] if dry else gone:
        forget(registry.local(version))
        registry.tag(client, str(version.version), {registry.PRUNED: provenance.now()})
    return [str(version.version) for version in gone]


def forget(folder: Path) -> None:
    """Removes a version's files but the evidence."""
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name not in EVIDENCE:
            path.unlink()
