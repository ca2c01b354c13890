"""Render the page of a drift check: the decision and its reason, what moved in sentences, then the tables."""

from collections.abc import Sequence

from delivery.drift.findings import Age, Performance, Realised, Revision, ServedFacts, Serving
from delivery.drift.result import DriftResult
from delivery.drift.verdicts import Judgement, LogEntry, PooledGain
from delivery.render.markdown import escaped
from delivery.stats.shift import ShiftRow
from delivery.stats.verdicts import MetricRow
from problem import BLOCK, PRIMARY

WORDS = {
    "retrain": "Retrain",
    "hold": "No retraining",
    "no": "No retraining",
    "wait": "No decision",
    "skip": "No retraining",
    "failed": "No decision",
    "superseded": "No decision",
}
UNIT = PRIMARY.replace("_", " ")
WORST = 3  # blocks shown


def markdown(result: DriftResult) -> str:
    """Return the page; all text that comes from the data or the log is escaped."""
    findings, trained = result.found, result.champion_trained_on
    lines = [f"**{_headline(result)} for {result.period}: {escaped(result.why)}.**", ""]
    lines += [f"- {sentence}" for sentence in findings.sentences]
    lines += [
        "",
        *serving_lines(result.serving),
        f"Champion trained on {trained[0]} to {trained[-1]}; challenger on everything before {result.period}.",
        *_age(result.age, result.period),
        *_revised(result.revisions),
        *_batch(result.batch),
        *served_lines(result.served),
    ]
    if result.comparison:
        lines += _metrics(result.comparison.metrics)
    if result.judged:
        lines += _gains(result.gains, result.judged)
    if findings.now:
        lines += _worst_blocks(findings.now)
    return "\n".join([*lines, *_shift(result.evidence), *_history(result.history)]) + "\n"


def _headline(result: DriftResult) -> str:
    return "No retraining yet" if result.verdict == "retrain" and not result.retrain else WORDS[result.verdict]


def serving_lines(serving: Serving) -> list[str]:
    """Return which version is judged, where it serves and since when, and whether main's model is another one."""
    if not serving.version:
        nowhere = f"Nothing serves in {serving.wanted} yet" if serving.wanted else ""
        return [f"{nowhere}: the champion is main's model."] if nowhere else []
    since = f" since {serving.since[:16]}" if serving.since else ""
    sentence = f"The champion is version {serving.version}, which serves in {serving.environment}{since}"
    if not serving.differs:
        return [f"{sentence}. It is main's model."]
    lines = [f"{sentence}. Main's model, with data until {serving.main_until}, is not the one that serves there."]
    if serving.own_code:
        lines.append("Its predictions are made by its own code; the columns below are those of main's.")
    return lines


def _age(age: Age, period: str) -> list[str]:
    return [
        f"The champion is {age.periods_since} periods behind {period}; labels reach to {age.newest_label} "
        f"({age.days} days, {age.labelled:.1%} of the rows); the source reaches to {age.newest_in_source}."
    ]


def _revised(revisions: Sequence[Revision]) -> list[str]:
    return [
        f"The source has changed `{row.file}` since it was fetched: {row.altered:,} rows altered, "
        f"{row.added:,} added, {row.removed:,} removed. What is judged here uses the new rows."
        for row in revisions
    ]


def _batch(batch: Realised | None) -> list[str]:
    if batch is None or batch.loss is None:
        return []
    return [f"Realised {UNIT} of batch predictions: {batch.loss:.4f} on {batch.counts.labelled:,} labelled rows."]


def served_lines(served: ServedFacts | None) -> list[str]:
    """Return the paragraph about the service's log, or nothing without a log."""
    if served is None:
        return []
    counts, loop = served.counts, served.feedback
    lines = [
        "",
        f"Served: {counts.predictions:,} predictions logged, {counts.joined:,} joined with their example, "
        f"{counts.labelled:,} of them labelled ({counts.repeated:,} repeated, {counts.ambiguous:,} ambiguous, "
        f"{counts.unknown:,} unknown to the data, {served.unreadable:,} of another schema).",
    ]
    if served.loss is not None:
        lines.append(f"Realised {UNIT} of what was served: {served.loss:.4f}.")
    for row in served.skew:
        lines.append(f"**Skew**: `{row.feature}` differs in {row.share:.1%} of the requests: {row.case}.")
    if served.why:
        lines.append(f"Served scores were not made again: {escaped(served.why)}.")
    if served.again is not None:
        lines.append(f"The same model gives the same scores offline to within {served.again:.1e}.")
    if loop.warn:
        lines.append(
            f"**Feedback**: labels come back for other scores than before serving: highest less lowest fifth "
            f"{loop.served:+.3f}, without the model {loop.reference:+.3f}, "
            f"difference [{loop.low:+.3f}, {loop.high:+.3f}]. The labelled rows are no fair sample."
        )
    return lines


def _metrics(metrics: Sequence[MetricRow]) -> list[str]:
    lines = [
        "",
        "| metric | champion | challenger | difference (+ is better) | interval | |",
        "|---|---:|---:|---:|---:|---|",
    ]
    for row in metrics:
        lines.append(
            f"| {row.metric} | {row.champion:.4f} | {row.candidate:.4f} | {row.difference:+.4f} "
            f"| [{row.low:+.4f}, {row.high:+.4f}] | {row.verdict} |"
        )
    return lines


def _gains(gains: Sequence[PooledGain], judged: Judgement) -> list[str]:
    lines = ["", "| period | rows | gain of its challenger | interval | |", "|---|---:|---:|---:|---|"]
    pooled = judged.pooled.periods
    for row in gains:
        (period,) = row.periods
        note = "pooled" if period in pooled and len(pooled) > 1 else ""
        lines.append(f"| {period} | {row.rows:,} | {row.gain:+.4f} | [{row.low:+.4f}, {row.high:+.4f}] | {note} |")
    return lines


def _worst_blocks(now: Performance) -> list[str]:
    lines = [
        "",
        f"| worst {BLOCK}s | rows | {UNIT} | predicted | observed |",
        "|---|---:|---:|---:|---:|",
    ]
    for row in sorted(now.blocks, key=lambda block: -block.loss)[:WORST]:
        lines.append(
            f"| {escaped(str(row.block))} | {row.rows:,} | {row.loss:.3f} | {row.predicted:.3f} | {row.observed:.3f} |"
        )
    return lines


def _shift(rows: Sequence[ShiftRow]) -> list[str]:
    lines = ["", "| column | PSI | Jensen-Shannon | missing before | missing now | |", "|---|---:|---:|---:|---:|---|"]
    for row in rows:
        note = "seasonal" if row.seasonal else "shifted" if row.alarm else ""
        lines.append(
            f"| {row.column} | {row.psi:.3f} | {row.jensen_shannon:.3f} | {row.missing_before:.1%} "
            f"| {row.missing_now:.1%} | {note} |"
        )
    return lines


def _history(history: Sequence[LogEntry]) -> list[str]:
    if not history:
        return []
    lines = ["", "| checked on | period | decision | why |", "|---|---|---|---|"]
    return lines + [f"| {row.date[:10]} | {row.period} | {row.verdict} | {escaped(row.why)} |" for row in history]
