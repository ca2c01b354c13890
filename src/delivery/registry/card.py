"""Verb `card`: print the purpose of a model, its metrics, its lineage and who approved it."""

import argparse
from collections.abc import Mapping
from pathlib import Path

from delivery.core import documents, params, workspace
from delivery.core.errors import Failure
from delivery.core.params import CARD_SECTIONS, Compare
from delivery.registry import registry
from delivery.registry.version import Lineage, tag_key
from delivery.render.page import metric_table, segment_table
from delivery.render.terms import problem_terms
from delivery.stats.evaluation import Evaluation
from delivery.stats.shift import Validation
from delivery.stats.verdicts import GateResult
from problem import PRIMARY

FILE = "card.md"  # among the version's files
LINEAGE = ("changes", "release", "digest", "image", "commit", "remote", "lock", "train", "compared_with")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the verb."""
    parser.add_argument("version", help="number or alias of the version")


def main(options: argparse.Namespace) -> None:
    """Print the card of a version. Raise `Failure` if it has none."""
    version = registry.find(options.version)
    path = registry.download(version, workspace.CACHE / "versions" / version.number) / FILE
    if not path.exists():
        raise Failure(f"version {version.number} has no card: it was registered before cards existed")
    print(f"Version {version.number}" + "".join(f", {alias}" for alias in version.aliases) + f"\n\n{path.read_text()}")


def markdown(folder: Path, lineage: Lineage) -> str:
    """Return the card of the model whose files are in `folder`, as `register.collect` left them.

    Raise `Failure` if `card` in params.yaml lacks what only the problem's authors know.
    """
    evaluation = documents.read(folder / "metrics.json", Evaluation, "run")
    settings = params.parse((folder / workspace.PARAMS.name).read_text())
    sections, terms = settings.card, problem_terms(evaluation.level)
    if absent := [name for name in CARD_SECTIONS if not sections.get(name, "").strip()]:
        raise Failure(f"`card` in params.yaml does not say: {', '.join(absent)}; write a sentence for each")
    parts = [
        f"# Model card\n\nModel `{lineage.digest[:12]}` of commit `{lineage.commit[:12]}`.",
        *(_section(name, text) for name, text in sections.items() if name not in CARD_SECTIONS[1:]),
        _section("Data", data_facts(folder, lineage, evaluation)),
        _section("Metrics", metric_table(evaluation, None, settings.compare.confidence, terms)),
        _section("By segment", segment_table(evaluation, None, terms)),
        _section("Limits", f"{sections['Limits']}\n\n{measured_limits(folder, evaluation, settings.compare)}"),
        _section("Who let it through", approval_facts(lineage)),
        _section(
            "Lineage", _listed({tag_key(name): f"`{value}`" for name in LINEAGE if (value := getattr(lineage, name))})
        ),
        _section("Licence", sections["Licence"]),
    ]
    return "\n\n".join(parts) + "\n"


def data_facts(folder: Path, lineage: Lineage, evaluation: Evaluation) -> str:
    """Return a list of the rows and periods that the model was trained and tested on."""
    row_counts = documents.read(folder / "validate.json", Validation, "run").rows
    return _listed(
        {
            "raw tables": ", ".join(f"{name} {rows:,} rows" for name, rows in row_counts.items()),
            "until": lineage.data_until,
            "trained on": f"what came before {evaluation.periods[0]}",
            "tested on": f"{evaluation.rows:,} rows of {', '.join(evaluation.periods)}, never seen in training",
            "digest": f"`{lineage.data}`",
        }
    )


def measured_limits(folder: Path, evaluation: Evaluation, compare: Compare) -> str:
    """Return a list of the limits that were measured: warnings of the gate, the worst segment, segments too small."""
    rules = documents.read(folder / "gate.json", GateResult, "gate").rules
    lines = [f"The gate warned: {rule.name}, {rule.evidence}." for rule in rules if rule.verdict != "pass"]
    judged = [row for row in evaluation.segments if row.rows >= compare.segment_rows]
    if judged:
        worst = max(judged, key=lambda row: row.value)
        lines.append(f"Worst served: {worst.segment}, {PRIMARY} {worst.value:.4f} on {worst.rows:,} rows.")
    if small := [row.segment for row in evaluation.segments if row.rows < compare.segment_rows]:
        lines.append(f"Not judged, fewer than {compare.segment_rows:,} rows: {', '.join(small)}.")
    return "\n".join(f"- {line}" for line in lines)


def approval_facts(lineage: Lineage) -> str:
    """Return a list of the gate's verdict, the pull request and the people who let the model through."""
    return _listed(
        {
            "gate": lineage.gate,
            "pull request": f"#{lineage.pull}" if lineage.pull else "none",
            "approved by": lineage.approved_by or "nobody",
            "merged by": lineage.merged_by or "nobody",
            "registered": f"{lineage.registered} by {lineage.executor}",
        }
    )


def _section(title: str, text: str) -> str:
    return f"## {title}\n\n{text.strip()}"


def _listed(entries: Mapping[str, str]) -> str:
    return "\n".join(f"- {name}: {value}" for name, value in entries.items())
