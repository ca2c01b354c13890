"""Make stages again from their inputs: dvc.lock is a claim, and whoever may write the store can provide what it names.

A stage whose entry in dvc.lock is the one of a trusted commit, or that has just run, need not be made again.
"""

import shutil
from pathlib import Path

from msgspec import Struct

from delivery.adapters import dvc, git
from delivery.ci.alike import alike
from delivery.core import files, workspace

ALWAYS = ("export", "evaluate")  # however long they take: nobody may make up what is judged and delivered
CLAIMED = workspace.CACHE / "claimed"  # what dvc.lock names, while a stage makes its own


class Remade(Struct, frozen=True):
    """Outcome of making stages again."""

    refuted: tuple[str, ...] = ()
    """Stages that gave another result than the one that dvc.lock names."""
    unverified: tuple[str, ...] = ()
    """Stages that took too long, so that dvc.lock is believed."""


NOTHING = Remade()


def claims(ran: list[str], trusted: str = "") -> list[str]:
    """Return the stages whose results are only claimed, in the order of dvc.yaml.

    `ran` are the stages that have just run, and `trusted` is the dvc.lock of a commit whose results were made again before
    they got there; empty if there is none.
    """
    lock, known = dvc.stages(workspace.DVC_LOCK.read_text()), dvc.stages(trusted)
    order = list(dvc.stages(Path(workspace.DVC_YAML).read_text()))
    names = [name for at in order for name in lock if name.partition("@")[0] == at]  # a matrix has stages `name@item`
    return [name for name in names if name not in ran and lock[name] != known.get(name)]


def trusted_lock(base: str) -> str:
    """Return the dvc.lock of the commit at which this branch left `base`; empty if there is none, or if `base` is a version."""
    fork = git.git("merge-base", base, "HEAD", check=False)
    return (git.show(fork, str(workspace.DVC_LOCK)) if fork else None) or ""


def run(stages: list[str], minutes: float) -> Remade:
    """Make the stages again, and those after them if a result is another one; the new results replace the claimed ones.

    A stage that is not in ALWAYS has `minutes`. Results that differ by rounding only, as on another processor, are kept.
    """
    refuted, unverified = [], []
    for stage in stages:
        same = _again(stage, None if stage in ALWAYS else 60 * minutes)
        if same is None:
            unverified.append(stage)
        elif not same:
            refuted.append(stage)
    if refuted:
        dvc.run("repro", "--no-run-cache")  # the store may hold such a cache, too
    return Remade(tuple(refuted), tuple(unverified))


def _again(stage: str, seconds: float | None) -> bool | None:
    """Run the stage and return whether its results are those that dvc.lock names, or None if it took too long."""
    if seconds == 0:
        return None
    lock = workspace.DVC_LOCK.read_text()
    claimed = dvc.outputs(lock, stage)
    _move(claimed, Path(), CLAIMED)
    kept = False
    try:
        if not dvc.again(stage, seconds):
            kept = True
            return None
        made = dvc.outputs(workspace.DVC_LOCK.read_text(), stage)
        different = [path for path, digest in claimed.items() if made.get(path) != digest]
        kept = bool(different) and set(made) == set(claimed) and _close(different)
        return kept or not different
    except BaseException:
        kept = True
        raise
    finally:
        if kept:
            files.write(workspace.DVC_LOCK, lock)
            # Plots that differ by rounding cannot be told from forged ones: show those that were just made.
            shown = {workspace.PLOTS.as_posix()} if workspace.PLOTS.exists() else set()
            _move({path: digest for path, digest in claimed.items() if path not in shown}, CLAIMED, Path())
        shutil.rmtree(CLAIMED, ignore_errors=True)


def _close(different: list[str]) -> bool:
    """Return whether these results are the claimed ones up to rounding; plots alone never differ by that."""
    numbers = [path for path in different if path != workspace.PLOTS.as_posix()]
    return bool(numbers) and all(alike(CLAIMED / path, Path(path)) for path in numbers)


def _move(paths: dict[str, str], source: Path, target: Path) -> None:
    """Move each of these files and folders, if it exists, and replace what has its name."""
    for path in paths:
        if not (source / path).exists():
            continue
        if (target / path).is_dir():
            shutil.rmtree(target / path)
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        (source / path).replace(target / path)
