"""Verb `card`: what a model is for, how well it does where, what it was made of and who let it through."""

import argparse
from collections.abc import Mapping
from pathlib import Path

import yaml

from delivery.core import documents, workspace
from delivery.core.errors import Failure
from delivery.core.params import CARD_SECTIONS
from delivery.registry import registry
from delivery.render.page import metric_table, segment_table
from delivery.render.terms import problem_terms
from delivery.stats.evaluation import Evaluation
from delivery.stats.shift import Validation
from delivery.stats.verdicts import GateResult
from problem import PRIMARY

FILE = "card.md"  # among the version's files
LINEAGE = (
    "model.digest",
    "image.digest",
    "git.commit",
    "git.remote",
    "dvc.lock.digest",
    "train.digest",
    "compared.with",
)


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("version", help="a number or an alias of the registry")


def main(options: argparse.Namespace) -> None:
    client = registry.connect()
    version = registry.find(client, options.version)
    kept = registry.download(client, version, workspace.CACHE / "versions" / str(version.version)) / FILE
    if not kept.exists():
        raise Failure(f"version {version.version} has no card: it was registered before there were any")
    print(f"Version {version.version}" + "".join(f", {alias}" for alias in version.aliases) + f"\n\n{kept.read_text()}")


def markdown(folder: Path, tags: Mapping[str, str]) -> str:
    """The card of the model whose files are in `folder`, as `register.collect` left them.

    Raises Failure when the problem does not say what only its authors know.
    """
    evaluation = documents.read(folder / "metrics.json", Evaluation, "run")
    settings = yaml.safe_load((folder / "params.yaml").read_text())
    said, terms = settings["card"], problem_terms(evaluation.level)
    if absent := [name for name in CARD_SECTIONS if not said.get(name, "").strip()]:
        raise Failure(f"`card` in params.yaml does not say: {', '.join(absent)}; write a sentence for each")
    parts = [
        f"# Model card\n\nModel `{tags[registry.DIGEST][:12]}` of commit `{tags['git.commit'][:12]}`.",
        *(_section(name, text) for name, text in said.items() if name not in CARD_SECTIONS[1:]),
        _section("Data", data(folder, tags, evaluation)),
        _section("Metrics", metric_table(evaluation, None, settings["compare"]["confidence"], terms)),
        _section("By segment", segment_table(evaluation, None, terms)),
        _section("Limits", f"{said['Limits']}\n\n{measured_limits(folder, evaluation, settings)}"),
        _section("Who let it through", approval(tags)),
        _section("Lineage", _listed({name: f"`{tags[name]}`" for name in LINEAGE if tags.get(name)})),
        _section("Licence", said["Licence"]),
    ]
    return "\n\n".join(parts) + "\n"


def data(folder: Path, tags: Mapping[str, str], evaluation: Evaluation) -> str:
    counted = documents.read(folder / "validate.json", Validation, "run").rows
    return _listed(
        {
            "raw tables": ", ".join(f"{name} {rows:,} rows" for name, rows in counted.items()),
            "until": tags["data.until"],
            "trained on": f"what came before {evaluation.periods[0]}",
            "tested on": f"{evaluation.rows:,} rows of {', '.join(evaluation.periods)}, never seen in training",
            "digest": f"`{tags['data.digest']}`",
        }
    )


def measured_limits(folder: Path, evaluation: Evaluation, settings: dict) -> str:
    """What the numbers themselves say against it: warnings of the gate, the segment that it serves worst, small ones."""
    rules = documents.read(folder / "gate.json", GateResult, "gate").rules
    lines = [f"The gate warned: {rule.name}, {rule.evidence}." for rule in rules if rule.verdict != "pass"]
    enough = settings["compare"]["segment_rows"]
    judged = [row for row in evaluation.segments if row.rows >= enough]
    if judged:
        worst = max(judged, key=lambda row: row.value)
        lines.append(f"Worst served: {worst.segment}, {PRIMARY} {worst.value:.4f} on {worst.rows:,} rows.")
    if small := [row.segment for row in evaluation.segments if row.rows < enough]:
        lines.append(f"Not judged, fewer than {enough:,} rows: {', '.join(small)}.")
    return "\n".join(f"- {line}" for line in lines)


def approval(tags: Mapping[str, str]) -> str:
    """People where there was a pull request; else that there was none."""
    found = {
        "gate": tags["gate"],
        "pull request": f"#{tags['pull.request']}" if tags.get("pull.request") else "none",
        "approved by": tags.get("approved.by", "nobody"),
        "merged by": tags.get("merged.by", "nobody"),
        "registered": f"{tags['registered']} by {tags['executor']}",
    }
    return _listed(found)


def _section(title: str, text: str) -> str:
    return f"## {title}\n\n{text.strip()}"


def _listed(found: Mapping[str, str]) -> str:
    return "\n".join(f"- {name}: {value}" for name, value in found.items())
