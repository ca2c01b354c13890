"""The baseline that a model is compared with: the model of a commit, or a version of the registry."""

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pandas as pd

from delivery.adapters import dvc, git
from delivery.core import ownership, params, programs, workspace
from delivery.core.errors import Failure
from delivery.core.files import digest, replacing
from delivery.core.progress import progress
from delivery.model import skopsfile
from delivery.registry import own_code, registry, release
from delivery.stats.evaluation import Problem
from delivery.stats.predictions import PREDICTION, describe, predictions
from problem import FEATURES, KEY, LABEL, PERIOD, predict


class Incomparable(Failure):
    """A baseline that cannot predict the new rows."""


class Described(msgspec.Struct, frozen=True):
    """The part of a commit's metrics.json that describes its problem; the files of early versions have no such part."""

    problem: Problem | None = None


@dataclass(frozen=True)
class Baseline:
    """What a model is compared with."""

    name: str  # as people call it: a commit, or a version
    commit: str | None
    predictions: pd.DataFrame
    model: Path
    code: Path | None = None  # its own package `problem`, if that differs from the one that is checked out


def choose(base: str | None) -> tuple[Baseline | None, str]:
    """Return the baseline `base`, or None and the reason why there is none.

    Without `base` it is the last commit's model if the one on disk differs, else the registry's champion.
    """
    if base is not None:
        return comparable(of_version(base)) if base.isdigit() or base in registry.ENVIRONMENTS else at(base, base)
    if git.head() is None:
        return None, "there is no commit yet"
    return at("HEAD", "the last commit") if not same("HEAD") else of_champion()


def at(revision: str, name: str) -> tuple[Baseline | None, str]:
    """Return the model of a commit; one of another problem is recognised before anything is reproduced."""
    problem = msgspec.json.decode(git.show(revision, str(workspace.METRICS)) or "{}", type=Described).problem
    if problem is not None and problem != describe():
        return None, f"{name} has another problem: it predicts {' '.join(problem.label)}"
    chosen = of_commit(revision)
    return comparable(chosen) if chosen else (None, f"{name} has no dvc.lock")


def comparable(chosen: Baseline) -> tuple[Baseline | None, str]:
    """Return the baseline, or None and the reason if its predictions lack the columns of this problem."""
    if absent := [name for name in (*KEY, LABEL) if name not in chosen.predictions]:
        return None, f"{chosen.name} has another problem: its predictions know no {', '.join(absent)}"
    return chosen, ""


def of_champion() -> tuple[Baseline | None, str]:
    """Return the champion, or None and the reason if there is none or it is the release on disk.

    With the same model in another release the comparison proves that its predictions are the same.
    """
    if not registry.exists():
        return None, "the registry has no champion yet"
    version = registry.champion()
    if version is None:
        return None, "the registry has no champion yet"
    if version.digest == digest(workspace.EXPORT) and version.release in ("", release.current()):
        return None, f"this is the champion, version {version.number}"
    return comparable(of_version(version.number))


def of_version(which: str) -> Baseline:
    """Return a registered version as a baseline, by number or alias."""
    version = registry.find(which)
    folder = registry.download(version, workspace.CACHE / "versions" / version.number)
    name = f"version {version.number}"
    return Baseline(
        name,
        version.commit or None,
        pd.read_parquet(folder / "predictions.parquet"),
        folder / "model.skops",
        own_code.of_version(version, folder),
    )


def same(revision: str) -> bool:
    """Return whether the model and the predictions on disk are those of the revision."""
    theirs = git.show(revision, str(workspace.DVC_LOCK))
    ours = workspace.DVC_LOCK.read_text() if workspace.DVC_LOCK.exists() else ""
    paths = ("artifacts/train", "artifacts/evaluate")
    return theirs is not None and all(dvc.outputs(theirs).get(path) == dvc.outputs(ours).get(path) for path in paths)


def of_commit(revision: str) -> Baseline | None:
    """Return the model that a commit's dvc.lock names: from the cache, the store, or reproduced.

    Return None if the commit has no dvc.lock yet.
    """
    commit = git.resolve(revision)
    if git.show(commit, str(workspace.DVC_LOCK)) is None:
        return None
    folder = workspace.CACHE / "baseline" / commit
    if not (folder / workspace.PREDICTIONS).exists():
        with replacing(folder) as scratch:
            if not _from_cache(commit, scratch):
                with progress(f"making the model of {commit[:8]} again: it is neither in the cache nor in the store"):
                    _reproduce(commit, scratch)
    return Baseline(
        f"commit {commit[:8]}",
        commit,
        pd.read_parquet(folder / workspace.PREDICTIONS),
        folder / workspace.MODEL,
        own_code.of_commit(commit, folder.parent / f"{commit}.code"),
    )


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _from_cache(commit: str, to: Path) -> bool:
    """Copy the outputs of a commit from DVC's cache or its remote, and return whether all of them are there."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo
    from dvc_data.index.index import DataIndexError

    try:
        with Repo.open(".", rev=commit) as repo:
            for path in (workspace.MODEL, workspace.PREDICTIONS):
                content = repo.dvcfs.read_bytes(str(path))
                if dvc.digest(content) != repo.dvcfs.info(str(path))["md5"]:
                    return False  # DVC verifies what it pulls, not what it reads
                _made((to / path).parent)
                (to / path).write_bytes(content)
    except (DvcException, DataIndexError, OSError):
        return False
    except Exception as error:  # the clients of buckets have errors of their own, without a common base class
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        print(f"the model of {commit[:10]} cannot be read ({reason}), so it is made again", file=sys.stderr)
        return False
    return True


def _reproduce(commit: str, to: Path) -> None:
    """Run `dvc repro` with the commit's own code, in a worktree that shares this machine's DVC cache."""
    root = to.parent / "tree"  # goes with the temporary folder, should this process be killed
    git.git("worktree", "prune")
    try:
        git.git("worktree", "add", "--quiet", "--force", "--detach", str(root), commit)
        tree = root / git.inside()
        for laid in map(Path, ownership.MACHINERY):  # where git does not hold the machinery, its present state will do
            if not (tree / laid).exists():
                _share(laid, tree / laid)
        (tree / ".dvc" / "config.local").write_text(f"[cache]\n    dir = {Path('.dvc/cache').resolve()}\n")
        _share(workspace.CACHE / "source", tree / workspace.CACHE / "source")
        for words in (["-m", "delivery", "fetch"], ["-m", "dvc", "repro", "--quiet"]):
            environment = {"PYTHONPATH": str(tree.resolve() / "src")} | dvc.path_first()
            completed = programs.run([sys.executable, *words], cwd=tree, env=environment)
            if completed.returncode:
                cause = programs.last_line(completed)
                raise Failure(f"the model of {commit[:8]} cannot be reproduced: {cause}; name another with --base")
        for path in (workspace.MODEL, workspace.PREDICTIONS):
            _made((to / path).parent)
            shutil.copy(tree / path, to / path)
    finally:
        git.git("worktree", "remove", "--force", str(root), check=False)


def _share(folder: Path, copy: Path) -> None:
    if folder.is_dir():
        shutil.copytree(folder, copy)
    elif folder.is_file():
        shutil.copyfile(folder, copy)


def on(baseline: Baseline, rows: pd.DataFrame) -> pd.DataFrame:
    """Return the baseline's predictions on these prepared rows.

    Its own predictions are used if they cover the rows, else its model predicts: from features that its own code computes,
    where that is another one; rows that this code leaves out are left out. Raise `Failure` if the model has seen the rows in
    training, and `Incomparable` if it cannot predict them.
    """
    keys = rows[list(KEY)]
    mine = keys.merge(baseline.predictions[[*KEY, PREDICTION]], on=list(KEY), how="inner")
    if len(mine) == len(keys):
        return baseline.predictions
    unseen = baseline.predictions[PERIOD].min()
    if rows[PERIOD].min() < unseen:
        raise Failure(f"{baseline.name} was trained on rows before {unseen}, which are among the new test rows")
    if baseline.code:
        return by_own_code(baseline, rows)
    model = skopsfile.load(baseline.model)
    known = set(getattr(model, "feature_names_in_", FEATURES))
    absent = sorted(known - set(rows))
    if absent:
        raise Incomparable(
            f"{baseline.name} needs {', '.join(absent)}, which the new rows have not: the two cannot be compared"
        )
    return predictions(rows, predict(model, rows[list(FEATURES)]))


def by_own_code(baseline: Baseline, rows: pd.DataFrame) -> pd.DataFrame:
    """Return its predictions on those of the rows that its own code knows. Raise `Incomparable` if that cannot be run on the data."""
    assert baseline.code is not None
    settings, wanted = params.load(), sorted(rows[PERIOD].unique())
    try:
        found = own_code.predictions(
            baseline.code, baseline.model, workspace.DATA, settings.fetch.until, settings.engine, only=wanted, who=baseline.name
        )  # fmt: skip
    except Failure as failure:
        raise Incomparable(str(failure)) from None
    if absent := [name for name in KEY if name not in found]:
        raise Incomparable(f"{baseline.name} has another problem: its predictions know no {', '.join(absent)}")
    return rows[list(KEY)].merge(found[[*KEY, PREDICTION]], on=list(KEY), how="inner")
