"""Verb `migrate`: what the store holds to the engines that take its place, each object verified there.

Killed at any point, it goes on where it was when it is started again. The store is left as it is.
"""

import argparse
import hashlib
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from delivery.core import files, workspace
from delivery.core.errors import Failure
from delivery.core.progress import progress
from delivery.registry import registry

if TYPE_CHECKING:
    from delivery.registry.registry import MlflowClient, ModelVersion

MARK = "migrated.version"  # a run's tag: the version that it was made for
GAP = "migrated.gap"  # a version's tag: it stands for one that was deleted, so that the next ones keep their numbers
AT_ONCE = 8  # objects on their way
BLOCK = 1 << 20


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "what",
        choices=("registry", "objects"),
        help="registry: the versions, to the server at MLFLOW_TRACKING_URI; objects: DVC's files, to its default remote",
    )


def main(options: argparse.Namespace) -> None:
    with progress(f"migrate {options.what}"):
        said = versions() if options.what == "registry" else objects()
    print(f"migrate: {said}")


def versions() -> str:
    """Every version under its own number; the aliases move last, when all is there and verified."""
    if not registry.address():
        raise Failure("MLFLOW_TRACKING_URI is not set; set it to the server that gets the versions")
    if not workspace.REGISTRY_DATABASE.exists():
        raise Failure("the store has no registry; `delivery store pull` brings it")
    source, target = registry.connect(registry.sqlite(workspace.REGISTRY_DATABASE)), registry.connect()
    mine = {int(version.version): version for version in registry.versions(source)}
    before = reached(target, mine)
    new = range(before + 1, max(mine, default=0) + 1)
    for number in new:
        made = _copy(source, target, mine[number]) if number in mine else _gap(target)
        if made != number:
            raise Failure(f"version {made} was made where {number} should be: somebody else writes to the server")
    for _, version in sorted(mine.items()):
        _verify(source, target, version)
    for version in registry.versions(target):
        if GAP in version.tags:
            target.delete_model_version(registry.MODEL, version.version)
    aliases = source.get_registered_model(registry.MODEL).aliases
    for alias, number in aliases.items():
        target.set_registered_model_alias(registry.MODEL, alias, str(number))
    return (
        f"{len(mine)} version(s), {len(mine.keys() & set(new))} of them new, and {len(aliases)} alias(es) are on "
        f"{registry.address()}; files, tags and metrics were read back and are those of the store"
    )


def reached(target: "MlflowClient", mine: Mapping[int, "ModelVersion"]) -> int:
    """The newest version that an earlier run has brought. Raises Failure when the server is in use by others."""
    there = {int(version.version): version.tags for version in registry.versions(target)}
    for number, tags in sorted(there.items()):
        if GAP not in tags and (number not in mine or mine[number].tags != tags):
            raise Failure(
                f"version {number} on {registry.address()} is not the store's: the server is in use already; "
                "migrate to an empty one"
            )
    return max(there, default=0)


def _gap(target: "MlflowClient") -> int:
    run = target.create_run(registry.experiment(target, registry.EXPERIMENT))
    target.set_terminated(run.info.run_id)
    source = f"{run.info.artifact_uri}/{registry.MODEL}"
    made = target.create_model_version(registry.MODEL, source, run.info.run_id, tags={GAP: "deleted in the store"})
    return int(made.version)


def _copy(source: "MlflowClient", target: "MlflowClient", version: "ModelVersion") -> int:
    """The version's run with metrics and files, then the version; a run that a kill has left is found by its tag."""
    number, kept = str(version.version), registry.local(version)
    pruned = registry.PRUNED in version.tags
    if not pruned and files.digest(kept / "export") != version.tags[registry.DIGEST]:
        raise Failure(f"the store's files of version {number} are not those that were registered; restore the store")
    experiment = registry.experiment(target, registry.EXPERIMENT)
    begun = target.search_runs([experiment], f"tags.`{MARK}` = '{number}'")
    name = version.tags.get("git.commit", "")[:12]
    run = begun[0] if begun else target.create_run(experiment, run_name=name, tags={MARK: number})
    for metric, value in _metrics(source, version).items():
        if metric not in run.data.metrics:
            target.log_metric(run.info.run_id, metric, value)
    target.log_artifacts(run.info.run_id, str(kept), registry.MODEL)
    target.set_terminated(run.info.run_id)
    made = target.create_model_version(
        registry.MODEL,
        f"{run.info.artifact_uri}/{registry.MODEL}",
        run.info.run_id,
        tags=version.tags,
        description=version.description,
    )
    return int(made.version)


def _verify(source: "MlflowClient", target: "MlflowClient", version: "ModelVersion") -> None:
    number = str(version.version)
    there = target.get_model_version(registry.MODEL, number)
    with tempfile.TemporaryDirectory() as scratch:
        copied = Path(target.download_artifacts(str(there.run_id), registry.MODEL, scratch))
        same = {
            "files": files.digest(copied) == files.digest(registry.local(version)),
            "tags": there.tags == version.tags,
            "description": (there.description or "") == (version.description or ""),
            "metrics": _metrics(target, there) == _metrics(source, version),
        }
    if wrong := [name for name, right in same.items() if not right]:
        raise Failure(
            f"version {number} on {registry.address()} has other {', '.join(wrong)} than the store; migrate to an "
            "empty server"
        )


def _metrics(client: "MlflowClient", version: "ModelVersion") -> dict[str, float]:
    return dict(client.get_run(str(version.run_id)).data.metrics)


def objects() -> str:
    """Every file of the store's DVC folder to DVC's default remote; each is read back from there and hashed."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    with Repo() as repo:
        try:
            remote: Any = repo.cloud.get_remote_odb()
        except DvcException as error:
            raise Failure(f"DVC's remote cannot be used: {str(error).splitlines()[0]}") from None
    place = remote.fs.unstrip_protocol(remote.path)
    if remote.fs.protocol == "local" and Path(remote.path).resolve() == workspace.DVC_OBJECTS.resolve():
        raise Failure("DVC's default remote is the store itself; `dvc remote add --default NAME URL` sets another one")
    try:
        return _objects(remote, place)
    except Failure:
        raise
    except Exception as error:  # clouds have no common one
        raise Failure(f"DVC's remote {place} cannot be used: {str(error).splitlines()[0]}") from None


def _objects(remote: Any, place: str) -> str:
    found = list(workspace.DVC_OBJECTS.glob("??/*"))
    # DVC takes the list of a folder for a sign that all of the folder is there, so lists go last.
    sent: list[bool] = []
    for lists in (False, True):
        with ThreadPoolExecutor(AT_ONCE) as pool:
            sent += pool.map(lambda path: _object(remote, path), [p for p in found if (p.suffix == ".dir") == lists])
    size = sum(path.stat().st_size for path in found) / 1e6
    return (
        f"{len(found)} object(s), {size:.1f} MB, are on {place}: {sum(sent)} sent, "
        f"{len(found) - sum(sent)} there already; each was read back and is what its name says"
    )


def _object(remote: Any, path: Path) -> bool:
    """Whether the object had to be sent. Raises Failure when it is broken here, or there after sending."""
    name = path.parent.name + path.name
    place, digest = remote.oid_to_path(name), name.removesuffix(".dir")
    if _md5(path.open) != digest:
        raise Failure(
            f"{path} is not what its name says; take it from a backup, or remove it and make it again by `dvc repro --force`"
        )
    if remote.fs.isfile(place) and _md5(lambda mode: remote.fs.open(place, mode)) == digest:
        return False
    remote.fs.makedirs(remote.fs.parent(place), exist_ok=True)
    remote.fs.put_file(str(path), place)
    if _md5(lambda mode: remote.fs.open(place, mode)) != digest:
        raise Failure(f"{place} came out different from {path}; run this again")
    return True


def _md5(opened: Callable[[str], Any]) -> str:
    """DVC's own digest, a block at a time."""
    total = hashlib.md5(usedforsecurity=False)
    with opened("rb") as stream:
        while block := stream.read(BLOCK):
            total.update(block)
    return total.hexdigest()
