"""Render the page of a report: the verdict first, then the evidence. report.md and the comment have the same renderer."""

from collections.abc import Mapping, Sequence

from delivery.compatibility.results import CompatibilityResult
from delivery.render.compatibility import IN_COMMENT, tables
from delivery.render.compatibility import sentence as sentence_of_clients
from delivery.render.markdown import (
    BREAK,
    SIGN,
    code,
    escaped,
    folded,
    interval,
    rule_table,
    sentence,
    signed_interval,
)
from delivery.render.review import Changes, Graph, Lineage, Report, Review, StageTime, Terms
from delivery.stats.evaluation import Evaluation
from delivery.stats.verdicts import Comparison

SEGMENTS = {
    "pass": "no segment clearly worse",
    "warn": "the segments could not be judged",
    "fail": "a segment is clearly worse",
}
ADVICE = {"pass": "safe to merge", "warn": "look at the warnings before you merge", "fail": "do not merge"}
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


def review_page(review: Review, images: Mapping[str, str], advice: str) -> str:
    """Return the page of a review: what is stale and `advice` for it, then the report or the error."""
    if review.documentation_only:
        return "Only documentation changed: no model was built or judged.\n"
    parts = []
    if review.refuted:
        names = ", ".join(code(name) for name in review.refuted)
        parts.append(
            f"**❌ Made again from its inputs, {names} gives other results than dvc.lock of this commit names.** "
            "This page shows the ones that were made again."
        )
    if review.unverified:
        names = ", ".join(code(name) for name in review.unverified)
        parts.append(
            f"**⚠️ {names} took too long to be made again (`reproduce.minutes`), so its results are only what dvc.lock names.**"
        )
    if review.stale:
        names = ", ".join(code(name) for name in review.stale)
        parts.append(f"**⚠️ {names} of this commit are not what its code, params and data give.** {advice}")
    if review.report is None:
        first, *others = review.error.splitlines() or [""]
        parts.append(f"**❌ The pipeline stopped: {escaped(first)}**")
        parts += [_item(line) for line in others]
    else:
        parts.append(report_page(review.report, images))
    return "\n\n".join(parts).rstrip() + "\n"


def report_page(report: Report, images: Mapping[str, str]) -> str:
    """Return the page; `images` maps the name of a plot to its address."""
    comparison = report.compared.comparison
    sections = [
        verdict(report),
        "## Metrics\n\n" + metric_table(report.evaluation, comparison, report.confidence, report.terms),
        "## Gate\n\n" + rule_table(report.gate.rules).strip(),
        *clients(report.compatibility),
        folded("Segments", segment_table(report.evaluation, comparison, report.terms)),
        "## What changed\n\n" + changes(report.changes) + delivered(report.release),
        "## Plots\n\n" + plots(report.plots, images),
        folded("Pipeline and times", graph(report.graph) + "\n\n" + times(report.times)),
        folded("Lineage", lineage(report.lineage, report.compared.against)),
    ]
    return "\n\n".join(sections) + "\n"


def clients(result: CompatibilityResult | None) -> list[str]:
    """Return whether clients and a rollback survive, and the differences; nothing in a report that does not have it."""
    if result is None:
        return []
    line = escaped(sentence_of_clients(result)).rstrip(".")
    return [f"{line}.", folded("Compatibility", tables(result, IN_COMMENT))]


def _item(text: str) -> str:
    """Return a list item; BREAK keeps a sign or number at its start from beginning a heading or another list."""
    shown = escaped(text).strip()
    return f"- {shown}" if shown[:1].isalpha() else f"- {BREAK}{shown}"


def verdict(report: Report) -> str:
    """Return the outcome in plain words and what to do in one line, then the rules that did not pass."""
    rules = report.gate.rules
    facts = [sentence(report.compared)]
    facts += [SEGMENTS[rule.verdict] for rule in rules if rule.name == "segments"]
    facts.append(f"{report.gate.latency_us:.0f} µs per prediction")
    if failed := [escaped(rule.name) for rule in rules if rule.verdict == "fail"]:
        facts.append(f"failed: {', '.join(failed)}")
    line = f"**{SIGN[report.gate.verdict]} {'; '.join(facts)}; {ADVICE[report.gate.verdict]}.**"
    others = [rule for rule in rules if rule.verdict != "pass"]
    return "\n".join(
        [line, *(f"\n- **{escaped(rule.name)}** {rule.verdict}: {escaped(rule.evidence)}" for rule in others)]
    )


def metric_table(evaluation: Evaluation, comparison: Comparison | None, confidence: float, terms: Terms) -> str:
    """Return the metrics with intervals, and those of the baseline if there is one; positive differences are better."""
    periods = ", ".join(map(escaped, evaluation.periods))
    scope = f"{evaluation.rows:,} rows of {periods}, {evaluation.blocks} {escaped(terms.block)}s resampled, "
    scope += f"{confidence:.0%} intervals"
    if comparison is None:
        lines = ["| metric | value | interval | better is |", "|---|---:|---:|---|"]
        for name, metric in evaluation.metrics.items():
            better = "higher" if terms.higher_is_better[name] else "lower"
            lines.append(f"| {_named(name, terms)} | {metric.value:.4f} | {interval(metric)} | {better} |")
    else:
        lines = ["| metric | before | now | difference (+ is better) | interval | |", "|---|---:|---:|---:|---:|---|"]
        for row in comparison.metrics:
            lines.append(
                f"| {_named(row.metric, terms)} | {row.champion:.4f} | {row.candidate:.4f} "
                f"| {row.difference:+.4f} | {signed_interval(row)} | {row.verdict} |"
            )
    gap = f"Calibration gap {evaluation.calibration.gap:+.4f} ({escaped(terms.calibration)})."
    return "\n".join([*lines, "", scope + ". " + gap])


def _named(metric: str, terms: Terms) -> str:
    return escaped(metric) + (" (leads)" if metric == terms.primary else "")


def segment_table(evaluation: Evaluation, comparison: Comparison | None, terms: Terms) -> str:
    """Return the primary metric of every segment, and its difference from the baseline's if there is one."""
    differences = {row.segment: row for row in comparison.segments} if comparison else {}
    lines = [f"| segment | rows | {escaped(terms.primary)} | interval | difference (+ is better) | interval |"]
    lines.append("|---|---:|---:|---:|---:|---:|")
    for row in evaluation.segments:
        change = differences.get(row.segment)
        more = f"{change.difference:+.4f} | {signed_interval(change)}" if change else "|"
        lines.append(f"| {escaped(row.segment)} | {row.rows:,} | {row.value:.4f} | {interval(row)} | {more} |")
    return "\n".join(lines)


def delivered(release: str) -> str:
    """Return a paragraph about what a promotion changes of the version that serves; empty if that is unknown."""
    return f"\n\nWhat a promotion changes {escaped(release)}." if release else ""


def changes(changed: Changes | None) -> str:
    """Return parameters, data and code that differ from the baseline's commit."""
    if changed is None:
        return "Nothing to compare with."
    lines = [f"Against `{changed.base[:8]}`:"]
    for row in changed.parameters:
        lines.append(f"- parameter {code(row.name)}: {escaped(row.before)} → {escaped(row.now)}")
    same = changed.data_before == changed.data_now
    lines.append(f"- data: {'the same' if same else f'{changed.data_before[:8]} → {changed.data_now[:8]}'}")
    for file in changed.code:
        if file.new:
            size = "new"
        elif file.added is None or file.removed is None:
            size = "binary"
        else:
            size = f"+{file.added} −{file.removed}"
        lines.append(f"- code: {code(file.path)} {size}")
    return "\n".join(lines if changed.code else [*lines, "- code: the same"])


def plots(names: Sequence[str], images: Mapping[str, str]) -> str:
    """Return two images to a row, and the caption of one that has no address."""
    cells = []
    for name in names:
        caption = CAPTIONS.get(name, escaped(name))
        image = f'<img src="{images[name]}" alt="{caption}" width="400">' if name in images else ""
        cells.append(image or f"(no image: {caption})")
    return "\n\n".join(" ".join(cells[at : at + 2]) for at in range(0, len(cells), 2)) or "None."


def graph(drawn: Graph | None) -> str:
    """Return the pipeline as a diagram."""
    if drawn is None:
        return "The pipeline cannot be drawn."
    lines = [f'\tnode{at}["{name}"]' for at, name in enumerate(drawn.nodes, start=1)]
    lines += [f"\tnode{start + 1}-->node{end + 1}" for start, end in drawn.edges]
    return "\n".join(["```mermaid", "flowchart TD", *lines, "```"])


def times(rows: Sequence[StageTime]) -> str:
    """Return when each stage ran and for how long."""
    if not rows:
        return "Every stage came from DVC's cache."
    lines = ["| stage | seconds | started | by |", "|---|---:|---|---|"]
    for row in rows:
        lines.append(f"| {escaped(row.stage)} | {row.seconds:.1f} | {escaped(row.started)} | {escaped(row.executor)} |")
    return "\n".join(lines)


def lineage(made_of: Lineage, against: str | None) -> str:
    """Return commit, data and outputs of the model, by digest."""
    uncommitted = " with uncommitted changes" if made_of.uncommitted else ""
    lines = [f"- commit `{made_of.commit or 'none'}`{uncommitted}", f"- data `{made_of.data}`"]
    lines += [f"{_item(path)} `{digest}`" for path, digest in made_of.outputs.items()]
    lines += [f"- compared with {escaped(against or 'nothing')}", f"- by {escaped(made_of.executor)}"]
    return "\n".join(lines)


def shortened(page: str, limit: int, note: str) -> str:
    """Return the page cut at a line so that with `note` it has at most `limit` characters, with open blocks closed."""
    if len(page) <= limit:
        return page
    ending = f"\n\n**The page is longer than a comment may be. {note}**\n"
    closing = "\n```\n\n</details>"
    room = limit - len(ending) - len(closing)
    kept = page[: page.rfind("\n", 0, room) + 1]
    if kept.count("```") % 2:
        kept += "```\n"
    if kept.count("<details>") > kept.count("</details>"):
        kept += "\n</details>\n"
    return kept + ending
