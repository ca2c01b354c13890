"""Verb `register`: add the release on disk to the registry as a version, with everything that explains it."""

import argparse
import json
import shutil
import sys
from pathlib import Path

import msgspec
import yaml
from msgspec import Struct

from delivery.adapters import dvc, git, large_files, provenance, store
from delivery.core import documents, files, params, workspace
from delivery.core.errors import Failure
from delivery.pipeline import records
from delivery.pull_requests import approval
from delivery.registry import card, integrity, registry, release, transitions
from delivery.registry.version import Lineage, Version
from delivery.stats.evaluation import Evaluation
from delivery.stats.verdicts import ComparisonResult, GateResult

KEPT = (
    *(
        workspace.MODEL,
        workspace.CONVERGENCE,
        workspace.PREDICTIONS,
        workspace.METRICS,
        workspace.VALIDATION,
        workspace.GATE,
        workspace.COMPARISON,
        workspace.REPORT,
    ),
    *(workspace.DVC_LOCK, workspace.DATA_FILE),
)
SHOWN = 3  # paths named in a refusal


class Uncommitted(Failure):
    """The model's source, which the version would name, is not committed."""


class Registration(Struct, frozen=True):
    """The version of a release, and whether it was added just now."""

    version: str
    new: bool
    alias: str | None
    digest: str
    release: str = ""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the verb."""
    parser.add_argument("--alias", help="environment to move to the version, such as staging")
    parser.add_argument(
        "--push",
        action="store_true",
        help="push the store, and record the version in git; if another writer was faster, register again on the newer store",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def main(options: argparse.Namespace) -> None:
    """Register the model on disk and print its version. Raise `Failure` if its source is not committed."""
    outcome = run(options.alias)

    def again() -> None:
        """Register on the newer store, where the version may get another number."""
        nonlocal outcome
        outcome = run(options.alias)

    if options.push:
        store.push(f"Version {outcome.version}", redo=again)
        if missed := integrity.record(registry.find(outcome.version), outcome.release, outcome.digest, ""):
            print(f"register: {missed}", file=sys.stderr)
    state = "is new" if outcome.new else "was there already"
    as_json = json.dumps(msgspec.to_builtins(outcome))
    print(as_json if options.json else f"register: version {outcome.version} {state}")


def run(alias: str | None = None, image: str = "") -> Registration:
    """Register the release on disk once; the same release again is the same version, and keeps the image it has.

    Raise `Failure` if the gate has failed or not run on this model, or if the store cannot hold a file of it, and
    `Uncommitted` if something that the records would name is not committed.
    """
    refuse_unfit()
    evaluation = documents.read(workspace.METRICS, Evaluation, "run")
    measured = {name: metric.value for name, metric in evaluation.metrics.items()}
    if registry.address() is None:
        large_files.refuse([*KEPT, *workspace.EXPORT.rglob("*")], large_files.VERSIONS)
        store.ready()
    with registry.connection():
        with release.made() as scratch:
            known = registry.versions()
            changes = changes_since(known[0], scratch) if known else ""
            origin = lineage(image, release.digest(scratch), changes)
            version, new = registry.add(collect(scratch, origin), origin, measured)
            if new:
                registry.describe(version, (scratch / card.FILE).read_text())
        if image and not registry.find(version).image:
            registry.record_image(version, image)
        if alias:
            transitions.move(alias, version, "register")
    if registry.address() is None:
        store.commit(f"Version {version}" + (f" to {alias}" if alias else ""))
    return Registration(version, new, alias, origin.digest, origin.release)


def refuse_unfit() -> None:
    """Raise `Failure` unless this model passed the gate, and `Uncommitted` unless a commit names it."""
    result = documents.read(workspace.GATE, GateResult, "gate")
    if result.model != files.digest(workspace.EXPORT):
        raise Failure("the gate judged another model; run `delivery gate`")
    if result.verdict == "fail":
        failed = ", ".join(rule.name for rule in result.rules if rule.verdict == "fail")
        raise Failure(f"the gate failed ({failed}); {workspace.GATE_PAGE} says why")
    if git.head() is None:
        raise Uncommitted("there is no commit yet; commit first, so that the version can name it")
    if changed := git.changed():
        raise Uncommitted(
            f"changed since the last commit: {', '.join(changed)}; commit, so that the version can name it"
        )


def changes_since(version: Version, candidate: Path) -> str:
    """Return what differs from a version; empty if its files are not at hand. `candidate` has export/ and release/."""
    try:
        before = registry.download(version, workspace.CACHE / "versions" / version.number)
    except Failure:
        return ""
    return f"since version {version.number}: {release.changes(before, candidate)}"


def lineage(image: str = "", released: str = "", changed: str = "") -> Lineage:
    """Return the lineage of the release on disk: digests, commit, gate, baseline and approval."""
    comparison = documents.read(workspace.COMPARISON, ComparisonResult, "compare")
    judged = documents.read(workspace.GATE, GateResult, "gate")
    commit = git.head() or ""
    approved = approval.of(commit)
    return Lineage(
        release=released,
        changes=changed,
        digest=files.digest(workspace.EXPORT),
        image=image,
        commit=commit,
        remote=git.public_remote(),
        lock=files.digest(workspace.DVC_LOCK),
        data=dvc.data_digest(),
        data_until=params.parse(params.read()).fetch.until,
        train=next(out["md5"] for out in yaml.safe_load(workspace.DVC_LOCK.read_text())["stages"]["train"]["outs"]),
        gate=judged.verdict,
        boundary=judged.boundary,
        compared_with=comparison.against or comparison.reason,
        executor=provenance.executor(),
        registered=provenance.now(),
        pull=approved.pull,
        approved_by=approved.approved_by,
        merged_by=approved.merged_by,
    )


def collect(folder: Path, origin: Lineage) -> Path:
    """Copy what explains the release to its folder, next to export/ and release/, and return the folder."""
    for path in KEPT:
        if path.exists():
            shutil.copy(path, folder / path.name)
    files.write(folder / workspace.PARAMS.name, whole_params())
    files.write_json(folder / "records.json", records.whole(yaml.safe_load(workspace.DVC_LOCK.read_text())))
    files.write(folder / card.FILE, card.markdown(folder, origin))
    return folder


def whole_params() -> str:
    """Return params.yaml with every default written out: defaults may change later, the version's do not."""
    settings = msgspec.to_builtins(params.parse(params.read()))
    return yaml.safe_dump(settings, sort_keys=False, allow_unicode=True)
