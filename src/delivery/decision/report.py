"""Verb `report`: one page that says whether the model is better, how that is known, and where it came from."""

import argparse

import yaml

from delivery.adapters import dvc, git, provenance
from delivery.core import documents, files, ownership, params, programs, workspace
from delivery.core.errors import Failure
from delivery.core.params_file import flat
from delivery.decision import gate
from delivery.pipeline import records
from delivery.render.markdown import folded, metric_table, plain, segment_table, sentence
from delivery.stats.evaluation import Evaluation
from delivery.stats.verdicts import ComparisonResult, GateResult

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
    """Write reports/report.md from what the pipeline, `compare` and `gate` have left, and return it."""
    evaluation = documents.read(workspace.METRICS, Evaluation, "run")
    result = documents.read(workspace.COMPARISON, ComparisonResult, "compare")
    judged = documents.read(workspace.GATE, GateResult, "gate")
    sections = [
        verdict(judged, result),
        "## Metrics\n\n" + metric_table(evaluation, result.comparison, params.load().compare.confidence),
        "## Gate\n\n" + workspace.GATE_PAGE.read_text().strip(),
        folded("Segments", segment_table(evaluation, result.comparison)),
        "## What changed\n\n" + changes(result.commit),
        "## Plots\n\n" + plots(),
        folded("Pipeline and times", graph() + "\n\n" + times()),
        folded("Lineage", lineage(result.against)),
    ]
    page = "\n\n".join(sections) + "\n"
    if len(page) > LIMIT:
        raise Failure(
            f"the report has {len(page):,} characters, GitHub takes {LIMIT:,}; fewer segments make it shorter"
        )
    files.write(workspace.REPORT, page)
    return page


def verdict(judged: GateResult, result: ComparisonResult) -> str:
    """Return the outcome in plain words and what to do in one line, then the rules that did not pass."""
    facts = [sentence(result)]
    facts += [SEGMENTS[rule.verdict] for rule in judged.rules if rule.name == "segments"]
    facts.append(f"{judged.latency_us:.0f} µs per prediction")
    if failed := [rule.name for rule in judged.rules if rule.verdict == "fail"]:
        facts.append(f"failed: {', '.join(failed)}")
    advice = {"pass": "safe to merge", "warn": "look at the warnings before you merge", "fail": "do not merge"}
    line = f"**{gate.SIGN[judged.verdict]} {'; '.join(facts)}; {advice[judged.verdict]}.**"
    others = [rule for rule in judged.rules if rule.verdict != "pass"]
    return "\n".join([line, *(f"\n- **{rule.name}** {rule.verdict}: {rule.evidence}" for rule in others)])


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


def lineage(against: str | None) -> str:
    """Return what this model is made of, by digest."""
    lines = [
        f"- commit `{git.head() or 'none'}`{' with uncommitted changes' if git.changed() else ''}",
        f"- data `{dvc.data_digest()}`",
        *(f"- {path} `{digest}`" for path, digest in dvc.outputs(workspace.DVC_LOCK.read_text()).items()),
        f"- compared with {against or 'nothing'}",
        f"- by {provenance.executor()}",
    ]
    return "\n".join(lines)
