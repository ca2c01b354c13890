"""Verb `report`: one page that says whether the model is better, how that is known, and where it came from."""

import argparse
import os
import re
import subprocess

import yaml

from delivery import dvc, files, gate, git, params, records, task
from delivery.compare import REPORT as COMPARISON
from delivery.compare import sentence
from delivery.errors import Failure
from delivery.evaluate import METRICS, PLOTS
from delivery.params import PARAMS
from problem import BLOCK, HIGHER_IS_BETTER, PRIMARY

REPORT = files.REPORTS / "report.md"
LIMIT = 65_000  # GitHub's is 65,536 characters, and a comment adds a line of its own
CODE = ("src", "dvc.yaml", "requirements")
SEGMENTS = {
    "pass": "no segment clearly worse",
    "warn": "the segments could not be judged",
    "fail": "a segment is clearly worse",
}
CAPTIONS = {
    "loss_curve": "Loss per iteration",
    "segments": "By segment",
    "calibration": "Calibration",
    "roc": "ROC",
    "precision_recall": "Precision and recall",
    "residuals": "Residuals",
    "confusion": "Confusion",
    "importance": "Permutation importance",
}


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--quiet", action="store_true", help="write the page, do not print it")


def main(options: argparse.Namespace) -> None:
    page = run()
    print(f"report: {REPORT}" if options.quiet else plain(page))


def run() -> str:
    """Writes reports/report.md from what the pipeline, `compare` and `gate` have left."""
    metrics = files.read_json(METRICS, "run")
    comparison = files.read_json(COMPARISON, "compare")
    decision = files.read_json(gate.JSON, "gate")
    sections = [
        verdict(decision, comparison),
        "## Metrics\n\n" + metric_table(metrics, comparison["comparison"], params.load().compare.confidence),
        "## Gate\n\n" + gate.MARKDOWN.read_text().strip(),
        folded("Segments", segment_table(metrics, comparison["comparison"])),
        "## What changed\n\n" + changes(comparison["commit"]),
        "## Plots\n\n" + plots(),
        folded("Pipeline and times", graph() + "\n\n" + times()),
        folded("Lineage", lineage(comparison)),
    ]
    page = "\n\n".join(sections) + "\n"
    if len(page) > LIMIT:
        raise Failure(
            f"the report has {len(page):,} characters, GitHub takes {LIMIT:,}; fewer segments make it shorter"
        )
    files.write(REPORT, page)
    return page


def verdict(decision: dict, comparison: dict) -> str:
    """The first line: what was found, in plain words, and what to do."""
    facts = [sentence(comparison)]
    rules = {rule["name"]: rule for rule in decision["rules"]}
    if segments := rules.get("segments"):
        facts.append(SEGMENTS[segments["verdict"]])
    facts.append(rules["latency"]["evidence"].split(",")[0])
    advice = {"pass": "safe to merge", "warn": "look at the warnings before you merge", "fail": "do not merge"}
    line = f"**{gate.SIGN[decision['verdict']]} {'; '.join(facts)}; {advice[decision['verdict']]}.**"
    failed = [rule for rule in decision["rules"] if rule["verdict"] != "pass"]
    return "\n".join([line, *(f"\n- **{rule['name']}** {rule['verdict']}: {rule['evidence']}" for rule in failed)])


def metric_table(metrics: dict, found: dict | None, confidence: float) -> str:
    """Values with intervals; beside the other model's where there is one. Positive differences are better."""
    scope = (
        f"{metrics['rows']:,} rows of {', '.join(metrics['periods'])}, {metrics['blocks']} {BLOCK}s resampled, "
        f"{confidence:.0%} intervals"
    )
    if found is None:
        head = ["| metric | value | interval | better is |", "|---|---:|---:|---|"]
        rows = [
            f"| {name}{' (leads)' if name == PRIMARY else ''} | {row['value']:.4f} | [{row['low']:.4f}, {row['high']:.4f}] "
            f"| {'higher' if HIGHER_IS_BETTER[name] else 'lower'} |"
            for name, row in metrics["metrics"].items()
        ]
    else:
        head = ["| metric | before | now | difference (+ is better) | interval | |", "|---|---:|---:|---:|---:|---|"]
        rows = [
            f"| {row['metric']}{' (leads)' if row['metric'] == PRIMARY else ''} | {row['champion']:.4f} | {row['candidate']:.4f} "
            f"| {row['difference']:+.4f} | [{row['low']:+.4f}, {row['high']:+.4f}] | {row['verdict']} |"
            for row in found["metrics"]
        ]
    gap = f"Calibration gap {metrics['calibration']['gap']:+.4f} ({task.TASK.gap}; {task.worded(metrics['level'])})."
    return "\n".join([*head, *rows, "", scope + ". " + gap])


def segment_table(metrics: dict, found: dict | None) -> str:
    differences = {row["segment"]: row for row in found["segments"]} if found else {}
    head = f"| segment | rows | {PRIMARY} | interval | difference (+ is better) | interval |"
    lines = [head, "|---|---:|---:|---:|---:|---:|"]
    for row in metrics["segments"]:
        name = row["segment"].replace("|", "/")
        change = differences.get(row["segment"])
        more = f"{change['difference']:+.4f} | [{change['low']:+.4f}, {change['high']:+.4f}]" if change else "|"
        lines.append(
            f"| {name} | {row['rows']:,} | {row['value']:.4f} | [{row['low']:.4f}, {row['high']:.4f}] | {more} |"
        )
    return "\n".join(lines)


def changes(base: str | None) -> str:
    """Parameters, data and code against the commit of the model before."""
    if base is None:
        return "Nothing to compare with."
    lines = [f"Against `{base[:8]}`:"]
    old, new = (flat(yaml.safe_load(text or "") or {}) for text in (git.show(base, str(PARAMS)), PARAMS.read_text()))
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            lines.append(f"- parameter `{name}`: {old.get(name, 'absent')} → {new.get(name, 'absent')}")
    before = git.show(base, str(dvc.DATA_FILE))
    was, now = dvc.data_digest(before) if before else "none", dvc.data_digest()
    lines.append(f"- data: {'the same' if was == now else f'{was[:8]} → {now[:8]}'}")
    stat = git.git("diff", "--stat=100", base, "--", *CODE, check=False).splitlines()
    stat += [
        f"{name} | new" for name in git.git("ls-files", "--others", "--exclude-standard", "--", *CODE).splitlines()
    ]
    lines += [f"- code: `{line.strip()}`" for line in stat] or ["- code: the same"]
    return "\n".join(lines)


def flat(tree: dict, prefix: str = "") -> dict[str, object]:
    out: dict[str, object] = {}
    for name, value in tree.items():
        out |= flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return out


def plots() -> str:
    """Two to a row, as links beside the page; the comment workflow replaces them with addresses."""
    there = [name for name in CAPTIONS if (PLOTS / f"{name}.png").exists()]
    cells = [f'<img src="plots/{name}.png" alt="{CAPTIONS[name]}" width="400">' for name in there]
    rows = [" ".join(cells[at : at + 2]) for at in range(0, len(cells), 2)]
    return "\n\n".join(rows) or "None."


def graph() -> str:
    """The pipeline as DVC sees it."""
    command, environment = dvc.command("dag", "--mermaid"), os.environ | dvc.path_first()
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    return f"```mermaid\n{done.stdout.strip()}\n```" if done.returncode == 0 else "The pipeline cannot be drawn."


def times() -> str:
    lines = ["| stage | seconds | started | by |", "|---|---:|---|---|"]
    for record in sorted(records.read().values(), key=lambda record: record["started"]):
        lines.append(f"| {record['stage']} | {record['seconds']:.1f} | {record['started']} | {record['executor']} |")
    return "\n".join(lines) if len(lines) > 2 else "Every stage came from DVC's cache."


def lineage(comparison: dict) -> str:
    """What this model is made of, by digest."""
    lines = [
        f"- commit `{git.head() or 'none'}`{' with uncommitted changes' if git.changed() else ''}",
        f"- data `{dvc.data_digest()}`",
        *(f"- {path} `{digest}`" for path, digest in dvc.outputs(dvc.LOCK.read_text()).items()),
        f"- compared with {comparison['against'] or 'nothing'}",
        f"- by {records.executor()}",
    ]
    return "\n".join(lines)


def folded(title: str, body: str) -> str:
    return f"<details><summary><b>{title}</b></summary>\n\n{body}\n\n</details>"


def plain(page: str) -> str:
    """The page for a terminal: without HTML and pictures."""
    page = re.sub(r"```mermaid.*?```", "", page, flags=re.DOTALL)
    page = re.sub(r"</?details>|<img[^>]*>|</?b>|\*\*", "", page)
    page = re.sub(r"<summary>(.*?)</summary>", r"## \1", page)
    return re.sub(r"\n{3,}", "\n\n", page).strip()
