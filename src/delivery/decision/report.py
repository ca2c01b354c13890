"""Verb `report`: one page that says whether the model is better, how that is known, and where it came from."""

import argparse

import yaml

from delivery.adapters import dvc, git, provenance
from delivery.core import files, ownership, params, programs, workspace
from delivery.core.errors import Failure
from delivery.core.params_file import flat
from delivery.decision import gate
from delivery.pipeline import records
from delivery.render.markdown import folded, metric_table, plain, segment_table
from delivery.stats.comparison import sentence

LIMIT = 65_000  # GitHub's is 65,536 characters, and a comment adds a line of its own
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
    print(f"report: {workspace.REPORT}" if options.quiet else plain(page))


def run() -> str:
    """Writes reports/report.md from what the pipeline, `compare` and `gate` have left."""
    metrics = files.read_json(workspace.METRICS, "run")
    comparison = files.read_json(workspace.COMPARISON, "compare")
    decision = files.read_json(workspace.GATE, "gate")
    sections = [
        verdict(decision, comparison),
        "## Metrics\n\n" + metric_table(metrics, comparison["comparison"], params.load().compare.confidence),
        "## Gate\n\n" + workspace.GATE_PAGE.read_text().strip(),
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
    files.write(workspace.REPORT, page)
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


def changes(base: str | None) -> str:
    """Parameters, data and code against the commit of the model before."""
    if base is None:
        return "Nothing to compare with."
    lines = [f"Against `{base[:8]}`:"]
    # A key that moves between the file and its default has changed nothing; a changed default is changed code.
    texts = (git.show(base, str(workspace.PARAMS)) or "", params.read())
    old, new = (flat(params.effective(yaml.safe_load(text) or {})) for text in texts)
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            lines.append(f"- parameter `{name}`: {old.get(name, 'absent')} → {new.get(name, 'absent')}")
    before = git.show(base, str(workspace.DATA_FILE))
    was, now = dvc.data_digest(before) if before else "none", dvc.data_digest()
    lines.append(f"- data: {'the same' if was == now else f'{was[:8]} → {now[:8]}'}")
    stat = git.git("diff", "--stat=100", base, "--", *ownership.CODE, check=False).splitlines()
    stat += [
        f"{name} | new"
        for name in git.git("ls-files", "--others", "--exclude-standard", "--", *ownership.CODE).splitlines()
    ]
    lines += [f"- code: `{line.strip()}`" for line in stat] or ["- code: the same"]
    return "\n".join(lines)


def plots() -> str:
    """Two to a row, as links beside the page; the comment workflow replaces them with addresses."""
    there = [name for name in CAPTIONS if (workspace.PLOTS / f"{name}.png").exists()]
    cells = [f'<img src="plots/{name}.png" alt="{CAPTIONS[name]}" width="400">' for name in there]
    rows = [" ".join(cells[at : at + 2]) for at in range(0, len(cells), 2)]
    return "\n\n".join(rows) or "None."


def graph() -> str:
    """The pipeline as DVC sees it."""
    done = programs.run(dvc.command("dag", "--mermaid"), env=dvc.path_first())
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
        *(f"- {path} `{digest}`" for path, digest in dvc.outputs(workspace.DVC_LOCK.read_text()).items()),
        f"- compared with {comparison['against'] or 'nothing'}",
        f"- by {provenance.executor()}",
    ]
    return "\n".join(lines)
