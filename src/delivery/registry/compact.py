"""Verb `compact`: remove from the store what nobody needs any more, and its history.

A pull request adds data, model and plots to the branch `store`. Those of closed ones, and those of commits older than --days
that no version names, can be made again; so can the files of old versions (`prune`). One commit then takes the place of the
branch's history, after the remote's copy of it was compared; where a rule forbids that, the history stays.
"""

import argparse
from pathlib import Path

from msgspec import Struct

from delivery.adapters import git, github, store, store_history
from delivery.core import retries, workspace
from delivery.core.errors import Failure
from delivery.registry import needed, prune, registry

MESSAGE = "Compacted"
TRIES = 6


class Compacted(Struct, frozen=True):
    """What was removed, or would be."""

    versions: int
    objects: int
    plots: int
    before: float
    """Size of the store's files in MB."""
    after: float
    refusal: str = ""
    """Why the history stays; empty if it was replaced."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the verb."""
    parser.add_argument("--keep", type=int, default=10, metavar="N", help="number of versions to keep, as for `prune`")
    parser.add_argument(
        "--days",
        type=int,
        default=30,
        metavar="N",
        help="keep data and models of commits of this age on the branches that promote delivers",
    )
    parser.add_argument("--dry-run", action="store_true", help="count what would be removed, and change nothing")


def main(options: argparse.Namespace) -> None:
    """Compact the store, or count what it would remove."""
    if options.keep < 1 or options.days < 1:
        raise Failure("keep at least one version and the commits of one day")
    if not git.remote():
        raise Failure("there is no remote, so there is no branch to compact")
    if not store_history.published():  # a fork's first weeks
        print(f"compact: there is no branch `{store.branch()}` yet, so there is nothing to do")
        return
    done = retries.call(
        lambda: run(options.keep, options.days, dry=options.dry_run),
        attempts=TRIES,
        worth=lambda error: isinstance(error, store.LostRace),
        jitter=0.2,
    )
    verb = "would remove" if options.dry_run else "removed"
    text = (
        f"{verb} the files of {done.versions} version(s), {done.objects} object(s) and {done.plots} plot(s); "
        f"the files of the store have {done.before:.1f} MB, then {done.after:.1f} MB"
    )
    if done.refusal:
        text += (
            f"; its history stays ({done.refusal}): if a rule protects it, let your App bypass it, or run "
            "`delivery compact` as somebody with the role Admin"
        )
    github.summary(f"The store: {text}.")
    print(f"compact: {text}")


def run(keep: int, days: int, *, dry: bool = False) -> Compacted:
    """Remove what nobody needs and replace the history; return what was removed. With `dry` change nothing.

    Raise `store.LostRace` if another writer was faster: then nothing has changed.
    """
    store.pull()
    if store.ahead():
        raise Failure("this machine has records that the remote lacks; run `delivery store push` first")
    before = size(workspace.STORE)
    store_history.complete()
    recent = store_history.added_since(needed.GRACE)
    alive = needed.live(days)
    pruned = prune.run(keep, dry=dry) if registry.address() is None and registry.exists() else []
    objects = _removable(workspace.DVC_OBJECTS, needed.objects(alive, recent))
    plots = _removable(workspace.PLOTS_KEPT, needed.plots(alive, recent))
    refusal, after = "", before - sum(path.stat().st_size for path in objects + plots) / 1e6
    if not dry:
        for path in objects + plots:
            path.unlink()
        after = size(workspace.STORE)
        refusal = store_history.replace(MESSAGE)
    return Compacted(len(pruned), len(objects), len(plots), before, after, refusal)


def _removable(folder: Path, kept: set[Path]) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.is_file() and path not in kept]


def size(folder: Path) -> float:
    """Return the size of the store's files in MB, without git's own."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and ".git" not in path.parts) / 1e6
