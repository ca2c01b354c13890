"""Verb `gate`: every rule that a model must pass, each with its evidence; one failure fails the gate."""

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from delivery.compatibility.results import CompatibilityResult
from delivery.core import documents, files, params, workspace
from delivery.core.errors import Failure
from delivery.core.manifest import Manifest
from delivery.core.params import Gate, Params
from delivery.decision import compatibility
from delivery.pull_requests.acceptance import Acceptance
from delivery.render.compatibility import sentence
from delivery.render.markdown import rule_table, signed_interval, terminal_text
from delivery.stats import shift, task
from delivery.stats.bootstrap import holm
from delivery.stats.evaluation import Evaluation, Metric
from delivery.stats.shift import Validation
from delivery.stats.verdicts import Comparison, ComparisonResult, GateResult, Rule, Verdict
from problem import HIGHER_IS_BETTER

LATENCY_CALLS = 300


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the verb."""
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def main(options: argparse.Namespace) -> int:
    """Judge the model, print the rules, and return 1 if one failed."""
    result = run(params.load())
    print(workspace.GATE.read_text() if options.json else terminal_text(workspace.GATE_PAGE.read_text()))
    return 1 if result.verdict == "fail" else 0


def run(settings: Params, labelled: Callable[[], Acceptance] = Acceptance) -> GateResult:
    """Judge what the pipeline and `compare` have written, and write gate.json and gate.md.

    `labelled` tells what a label of the pull request accepts; it is asked only if something breaks.
    """
    evaluation = documents.read(workspace.METRICS, Evaluation, "run")
    manifest = documents.read(workspace.EXPORT / workspace.MANIFEST, Manifest, "run")
    result = documents.read(workspace.COMPARISON, ComparisonResult, "compare")
    validation = documents.read(workspace.VALIDATION, Validation, "run")
    clients = compatibility.run(settings, labelled=labelled)
    microseconds = latency_us(workspace.EXPORT)
    rules = [
        data_is_valid(validation, settings),
        *floors(evaluation.metrics, settings.gate),
        calibrated(evaluation.calibration.gap, settings.gate),
        *versus_champion(result, settings),
        parity(manifest),
        size(workspace.EXPORT, settings.gate),
        latency(microseconds, settings.gate),
        compatible(clients, settings.gate),
    ]
    boundary = clients.accepted if clients.broken() else ""
    judged = GateResult(
        worst(rules), files.digest(workspace.EXPORT), result.against, tuple(rules), microseconds, boundary
    )
    documents.write(workspace.GATE, judged)
    files.write(workspace.GATE_PAGE, rule_table(rules))
    return judged


def worst(rules: Sequence[Rule]) -> Verdict:
    """Return the gravest verdict of the rules."""
    verdicts = {rule.verdict for rule in rules}
    order: tuple[Verdict, ...] = ("fail", "warn", "pass")
    return next(verdict for verdict in order if verdict in verdicts)


def passed_if(condition: bool) -> Verdict:
    """Return the verdict of a rule that gives no warnings."""
    return "pass" if condition else "fail"


def data_is_valid(validation: Validation, settings: Params) -> Rule:
    """Check that the validation is of these data (broken data stop the pipeline), and name the columns that moved."""
    if validation.until != settings.fetch.until:
        return Rule(
            "data",
            "fail",
            f"validated until {validation.until}, fetch.until is {settings.fetch.until}; run `dvc repro`",
        )
    moved = [f"{table}.{row.column}" for table, rows in validation.skew.items() for row in rows if row.alarm]
    said = [f"shifted in the newest period: {', '.join(moved)}"] if moved else []
    if validation.further:
        said += [f"ignored, because the schema does not name it: {', '.join(shift.named(validation.further))}"]
    if said:
        return Rule("data", "warn", "; ".join(["schema valid", *said]))
    return Rule("data", "pass", f"schema valid, {sum(validation.rows.values()):,} rows")


def floors(metrics: dict[str, Metric], gate: Gate) -> list[Rule]:
    """Return a rule for each metric that `gate.floors` names: the absolute minimum of every model."""
    rules = []
    for name, floor in gate.floors.items():
        if name not in metrics:
            rules.append(
                Rule(f"floor {name}", "fail", f"gate.floors names {name}; the metrics are {', '.join(metrics)}")
            )
            continue
        value = metrics[name].value
        reached = value >= floor if HIGHER_IS_BETTER[name] else value <= floor
        sense = "at least" if HIGHER_IS_BETTER[name] else "at most"
        rules.append(Rule(f"floor {name}", passed_if(reached), f"{value:.4f}, must be {sense} {floor}"))
    return rules


def calibrated(gap: float, gate: Gate) -> Rule:
    """Check the calibration gap against `gate.calibration_gap`."""
    verdict = passed_if(abs(gap) <= gate.calibration_gap)
    return Rule("calibration", verdict, f"{task.TASK.gap} {gap:+.4f}, limit ±{gate.calibration_gap}")


def versus_champion(result: ComparisonResult, settings: Params) -> list[Rule]:
    """Return the rules of the comparison, or one that says why there is none."""
    comparison = result.comparison
    if comparison is None:
        return [Rule("champion", "pass", f"{result.reason}; the floors alone decide")]
    return [not_inferior(comparison, settings.gate), segments(comparison, settings.gate, settings.compare.resamples)]


def not_inferior(comparison: Comparison, gate: Gate) -> Rule:
    """Fail if the interval's lower end lies beyond the margin; warn if the model is clearly worse within it."""
    row = comparison.primary_row()
    text = (
        f"{comparison.primary} {row.difference:+.4f} {signed_interval(row)} (positive is better) "
        f"on {comparison.rows:,} rows, {comparison.blocks} {comparison.block}s; margin {gate.margin}"
    )
    if not row.low >= -gate.margin:  # NaN too
        return Rule("champion", "fail", text)
    return Rule("champion", "warn" if row.high < 0 else "pass", text)


def segments(comparison: Comparison, gate: Gate, resamples: int) -> Rule:
    """Fail if a segment with enough rows is clearly worse, Holm-corrected over the segments that are judged."""
    judged = [row for row in comparison.segments if row.judged]
    adjusted = holm([row.p_worse for row in judged])
    worse = [(row, p) for row, p in zip(judged, adjusted, strict=True) if p < gate.segment_alpha]
    if worse:
        named = "; ".join(
            f"{row.segment} {row.difference:+.4f} {signed_interval(row)}, p {p:.4f}, {row.rows:,} rows"
            for row, p in worse
        )
        return Rule("segments", "fail", f"clearly worse: {named}")
    needed = len(judged) / gate.segment_alpha if gate.segment_alpha else 0
    if resamples < needed:  # the smallest p-value there can be, times the number of segments, is no longer small
        return Rule(
            "segments", "warn", f"{len(judged)} segments need compare.resamples above {needed:,.0f} to be judged"
        )
    skipped = len(comparison.segments) - len(judged)
    small = f"; {skipped} too small to judge" if skipped else ""
    return Rule("segments", "pass", f"none of {len(judged)} clearly worse (Holm, {gate.segment_alpha}){small}")


def parity(manifest: Manifest) -> Rule:
    """Check that the model file is the one that `export` verified against scikit-learn."""
    if files.digest(workspace.EXPORT / manifest.model) != manifest.sha256:
        return Rule("parity", "fail", f"{manifest.model} is not the file that export checked; run `dvc repro`")
    verdict = passed_if(manifest.parity <= manifest.tolerance)
    evidence = f"{manifest.runtime} differs from scikit-learn by at most {manifest.parity:.1e}"
    return Rule("parity", verdict, evidence)


def size(folder: Path, gate: Gate) -> Rule:
    """Check the size of the exported files against `gate.model_mb`."""
    megabytes = sum(file.stat().st_size for file in folder.iterdir()) / 1e6
    return Rule("size", passed_if(megabytes <= gate.model_mb), f"{megabytes:.1f} MB, budget {gate.model_mb} MB")


def latency(microseconds: float, gate: Gate) -> Rule:
    """Check the median time of one prediction against `gate.latency_us`."""
    verdict = passed_if(microseconds <= gate.latency_us)
    return Rule("latency", verdict, f"{microseconds:.0f} µs per prediction, budget {gate.latency_us:.0f} µs")


def compatible(result: CompatibilityResult, gate: Gate) -> Rule:
    """Fail if clients or a rollback break and neither `gate.compatibility` nor a label accepts that; warn if one does."""
    text = sentence(result)
    if result.broken():
        return Rule("compatibility", "warn" if result.accepted else "fail", text)
    if result.unread:
        return Rule("compatibility", "warn", text)
    if gate.compatibility == "breaking" and result.versions:
        return Rule("compatibility", "warn", f"{text}; nothing breaks, so remove gate.compatibility from params.yaml")
    return Rule("compatibility", "pass", text)


def latency_us(folder: Path, calls: int = LATENCY_CALLS) -> float:
    """Return the median time of one prediction in microseconds, from request to score, over the model's examples."""
    import msgspec

    from delivery.model import runtime
    from problem import Request, row

    scorer = runtime.load(folder)
    sent = [example["request"] for example in files.read_json(folder / workspace.EXAMPLES, "run")]
    try:
        requests = msgspec.convert(sent, list[Request])
    except msgspec.ValidationError as error:
        raise Failure(
            f"the examples of the model are no requests of today's schema ({error}); run `dvc repro`"
        ) from None
    spent = []
    for call in range(calls):
        start = time.perf_counter()
        scorer.score([row(requests[call % len(requests)])])
        spent.append(time.perf_counter() - start)
    return float(np.median(spent) * 1e6)
