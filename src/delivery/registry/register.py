"""Verb `register`: the model on disk as a version of the registry, with all that explains it."""

import argparse
import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

import msgspec
import yaml

from delivery.adapters import dvc, git, provenance, store
from delivery.core import documents, files, params, workspace
from delivery.core.errors import Failure
from delivery.pipeline import records
from delivery.pull_requests import approval
from delivery.registry import card, registry, transitions
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
    """What the version would name as its source is not in git."""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--alias", help="the environment that gets it, such as staging")
    parser.add_argument("--push", action="store_true", help="push the store; who comes second does it again")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def main(options: argparse.Namespace) -> None:
    outcome = run(options.alias)
    if options.push:
        # Who comes second registers again, on the newer store, and may get another number.
        store.push(f"Version {outcome['version']}", redo=lambda: outcome.update(run(options.alias)))
    says = "is new" if outcome["new"] else "was there already"
    print(json.dumps(outcome) if options.json else f"register: version {outcome['version']} {says}")


def run(alias: str | None = None, image: str = "") -> dict:
    """Registers once; the same model again is the same version, which knows its newest image.

    Raises Failure when the gate has failed or not run on this model, or when something that the
    records would name is not committed.
    """
    refuse_unfit()
    tags = lineage() | ({"image.digest": image} if image else {})
    evaluation = documents.read(workspace.METRICS, Evaluation, "run")
    metrics = {name: metric.value for name, metric in evaluation.metrics.items()}
    if registry.address() is None:
        store.ready()
    client = registry.connect()
    with tempfile.TemporaryDirectory() as scratch:
        version, new = registry.add(client, collect(Path(scratch), tags), tags, metrics)
        if new:
            registry.describe(client, version, Path(scratch, card.FILE).read_text())
    if image:
        registry.tag(client, version, {"image.digest": image})
    if alias:
        transitions.move(client, alias, version, "register")
    if registry.address() is None:
        store.commit(f"Version {version}" + (f" to {alias}" if alias else ""))
    return {"version": version, "new": new, "alias": alias, "digest": tags[registry.DIGEST]}


def refuse_unfit() -> None:
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


def lineage() -> dict[str, str]:
    """What the version's tags say: digests, commit, gate, and what it was compared with."""
    comparison = documents.read(workspace.COMPARISON, ComparisonResult, "compare")
    tags = {
        registry.DIGEST: files.digest(workspace.EXPORT),
        "git.commit": git.head() or "",
        "git.remote": git.remote() or "",
        "dvc.lock.digest": files.digest(workspace.DVC_LOCK),
        "data.digest": dvc.data_digest(),
        "data.until": params.parse(params.read()).fetch.until,
        "train.digest": next(
            out["md5"] for out in yaml.safe_load(workspace.DVC_LOCK.read_text())["stages"]["train"]["outs"]
        ),
        "gate": documents.read(workspace.GATE, GateResult, "gate").verdict,
        "compared.with": comparison.against or comparison.reason,
        "executor": provenance.executor(),
        "registered": provenance.now(),
    }
    return tags | approval.of(tags["git.commit"])


def collect(folder: Path, tags: Mapping[str, str]) -> Path:
    """The version's files in one folder: export/ serves, the rest explains."""
    shutil.copytree(workspace.EXPORT, folder / "export")
    for path in KEPT:
        if path.exists():
            shutil.copy(path, folder / path.name)
    files.write(folder / workspace.PARAMS.name, whole_params())
    files.write_json(folder / "records.json", records.whole(yaml.safe_load(workspace.DVC_LOCK.read_text())))
    files.write(folder / card.FILE, card.markdown(folder, tags))
    return folder


def whole_params() -> str:
    """params.yaml with every default written out: a later default is another one, and these are the version's."""
    settings = msgspec.to_builtins(params.parse(params.read()))
    return yaml.safe_dump(settings, sort_keys=False, allow_unicode=True)
