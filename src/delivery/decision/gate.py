"""Verb `gate`: every rule that a model must pass, each with its evidence; one failure fails the gate."""

import argparse
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from delivery.core import files, params, workspace
from delivery.core.params import Gate, Params
from delivery.stats import task
from delivery.stats.bootstrap import holm
from problem import HIGHER_IS_BETTER, PRIMARY

SIGN = {"pass": "✅", "warn": "⚠️", "fail": "❌"}
LATENCY_CALLS = 300


@dataclass(frozen=True)
class Rule:
    name: str
    verdict: str  # pass, warn or fail
    evidence: str  # one sentence with the numbers


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def main(options: argparse.Namespace) -> int:
    result = run(params.load())
    print(workspace.GATE.read_text() if options.json else workspace.GATE_PAGE.read_text())
    return 1 if result["verdict"] == "fail" else 0


def run(settings: Params) -> dict:
    """Judges what the pipeline and `compare` have written, and writes gate.json and gate.md."""
    metrics = files.read_json(workspace.METRICS, "run")
    manifest = files.read_json(workspace.EXPORT / workspace.MANIFEST, "run")
    comparison = files.read_json(workspace.COMPARISON, "compare")
    validation = files.read_json(workspace.VALIDATION, "run")
    rules = [
        data_is_valid(validation, settings),
        *floors(metrics["metrics"], settings.gate),
        calibrated(metrics["calibration"]["gap"], settings.gate),
        *versus_champion(comparison, settings),
        parity(manifest),
        size(workspace.EXPORT, settings.gate),
        latency(latency_us(workspace.EXPORT), settings.gate),
    ]
    result = {
        "verdict": worst(rules),
        "model": files.digest(workspace.EXPORT),
        "against": comparison["against"],
        "rules": [asdict(rule) for rule in rules],
    }
    files.write_json(workspace.GATE, result)
    files.write(workspace.GATE_PAGE, markdown(rules))
    return result


def worst(rules: list[Rule]) -> str:
    verdicts = {rule.verdict for rule in rules}
    return next(verdict for verdict in ("fail", "warn", "pass") if verdict in verdicts)


def data_is_valid(validation: dict, settings: Params) -> Rule:
    """The pipeline stops on broken data; here that the report is of these data, and what moved."""
    if validation["until"] != settings.fetch.until:
        return Rule(
            "data",
            "fail",
            f"validated until {validation['until']}, fetch.until is {settings.fetch.until}; run `dvc repro`",
        )
    moved = [f"{table}.{row['column']}" for table, rows in validation["skew"].items() for row in rows if row["alarm"]]
    if moved:
        return Rule("data", "warn", f"schema valid; shifted in the newest month: {', '.join(moved)}")
    return Rule("data", "pass", f"schema valid, {sum(validation['rows'].values()):,} rows")


def floors(metrics: dict[str, dict], gate: Gate) -> list[Rule]:
    rules = []
    for name, floor in gate.floors.items():
        if name not in metrics:
            rules.append(
                Rule(f"floor {name}", "fail", f"gate.floors names {name}; the metrics are {', '.join(metrics)}")
            )
            continue
        value = metrics[name]["value"]
        reached = value >= floor if HIGHER_IS_BETTER[name] else value <= floor
        sense = "at least" if HIGHER_IS_BETTER[name] else "at most"
        rules.append(Rule(f"floor {name}", "pass" if reached else "fail", f"{value:.4f}, must be {sense} {floor}"))
    return rules


def calibrated(gap: float, gate: Gate) -> Rule:
    verdict = "pass" if abs(gap) <= gate.calibration_gap else "fail"
    return Rule("calibration", verdict, f"{task.TASK.gap} {gap:+.4f}, limit ±{gate.calibration_gap}")


def versus_champion(comparison: dict, settings: Params) -> list[Rule]:
    if comparison["comparison"] is None:
        return [Rule("champion", "pass", f"{comparison['reason']}; the floors alone decide")]
    found = comparison["comparison"]
    return [not_inferior(found, settings.gate), segments(found, settings.gate, settings.compare.resamples)]


def not_inferior(found: dict, gate: Gate) -> Rule:
    """The interval's worse end may not lie beyond the margin; clearly worse within it is a warning."""
    row = next(row for row in found["metrics"] if row["metric"] == PRIMARY)
    text = (
        f"{PRIMARY} {row['difference']:+.4f} [{row['low']:+.4f}, {row['high']:+.4f}] (positive is better) "
        f"on {found['rows']:,} rows, {found['blocks']} {found['block']}s; margin {gate.margin}"
    )
    if not row["low"] >= -gate.margin:  # NaN too
        return Rule("champion", "fail", text)
    return Rule("champion", "warn" if row["high"] < 0 else "pass", text)


def segments(found: dict, gate: Gate, resamples: int) -> Rule:
    """No segment with enough rows clearly worse, Holm-corrected over the segments that are judged."""
    judged = [row for row in found["segments"] if row["judged"]]
    adjusted = holm([row["p_worse"] for row in judged])
    worse = [(row, p) for row, p in zip(judged, adjusted, strict=True) if p < gate.segment_alpha]
    if worse:
        named = "; ".join(
            f"{row['segment']} {row['difference']:+.4f} [{row['low']:+.4f}, {row['high']:+.4f}], p {p:.4f}, {row['rows']:,} rows"
            for row, p in worse
        )
        return Rule("segments", "fail", f"clearly worse: {named}")
    needed = len(judged) / gate.segment_alpha if gate.segment_alpha else 0
    if resamples < needed:  # the smallest p-value there can be, times the number of segments, is no longer small
        return Rule(
            "segments", "warn", f"{len(judged)} segments need compare.resamples above {needed:,.0f} to be judged"
        )
    skipped = len(found["segments"]) - len(judged)
    small = f"; {skipped} too small to judge" if skipped else ""
    return Rule("segments", "pass", f"none of {len(judged)} clearly worse (Holm, {gate.segment_alpha}){small}")


def parity(manifest: dict) -> Rule:
    """The stage `export` refuses a mismatch; here that the file is the one that it proved."""
    if files.digest(workspace.EXPORT / manifest["model"]) != manifest["sha256"]:
        return Rule("parity", "fail", f"{manifest['model']} is not the file that export checked; run `dvc repro`")
    worst = manifest["parity"]
    verdict = "pass" if worst <= manifest["tolerance"] else "fail"
    return Rule("parity", verdict, f"{manifest['runtime']} differs from scikit-learn by at most {worst:.1e}")


def size(folder: Path, gate: Gate) -> Rule:
    megabytes = sum(file.stat().st_size for file in folder.iterdir()) / 1e6
    return Rule(
        "size", "pass" if megabytes <= gate.model_mb else "fail", f"{megabytes:.1f} MB, budget {gate.model_mb} MB"
    )


def latency(microseconds: float, gate: Gate) -> Rule:
    verdict = "pass" if microseconds <= gate.latency_us else "fail"
    return Rule("latency", verdict, f"{microseconds:.0f} µs per prediction, budget {gate.latency_us:.0f} µs")


def latency_us(folder: Path, calls: int = LATENCY_CALLS) -> float:
    """Median time of one row, from request to score, over the model's own examples in turn."""
    import msgspec

    from delivery.model import runtime
    from problem import Request, row

    scorer = runtime.load(folder)
    sent = [example["request"] for example in files.read_json(folder / workspace.EXAMPLES, "run")]
    requests = msgspec.convert(sent, list[Request])
    spent = []
    for call in range(calls):
        start = time.perf_counter()
        scorer.score([row(requests[call % len(requests)])])
        spent.append(time.perf_counter() - start)
    return float(np.median(spent) * 1e6)


def markdown(rules: list[Rule]) -> str:
    lines = [
        f"| {SIGN[rule.verdict]} {rule.verdict} | {rule.name} | {rule.evidence.replace('|', '/')} |" for rule in rules
    ]
    return "\n".join(["| verdict | rule | evidence |", "|---|---|---|", *lines]) + "\n"
