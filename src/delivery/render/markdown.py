"""Markdown for people: tables of metrics and segments, folded sections, a page for the terminal."""

import re
from typing import Protocol

from delivery.stats import task
from delivery.stats.evaluation import Evaluation
from delivery.stats.verdicts import Comparison, ComparisonResult
from problem import BLOCK, HIGHER_IS_BETTER, PRIMARY

SAME = 1e-6  # of the primary metric: the last bits differ between two ways to compute it


class Bounded(Protocol):
    """Any row that has the ends of an interval."""

    @property
    def low(self) -> float: ...

    @property
    def high(self) -> float: ...


def interval(row: Bounded) -> str:
    """Return the interval of a value."""
    return f"[{row.low:.4f}, {row.high:.4f}]"


def signed_interval(row: Bounded) -> str:
    """Return the interval of a difference."""
    return f"[{row.low:+.4f}, {row.high:+.4f}]"


def sentence(result: ComparisonResult) -> str:
    """Return the outcome in plain words: the primary metric's difference, its interval, the rows."""
    comparison = result.comparison
    if comparison is None:
        return f"Nothing to compare with: {result.reason}"
    row = comparison.primary_row()
    difference = f"{signed_interval(row)} {comparison.primary.replace('_', ' ')}"
    rows = f"on the same {comparison.rows:,} rows ({comparison.blocks} {comparison.block}s) as {result.against}"
    if max(abs(row.low), abs(row.high)) < SAME:
        return f"The same predictions {rows}"
    if row.verdict == "within noise":
        return f"Within noise: {row.difference:+.4f} {difference} {rows}"
    return f"{row.verdict.capitalize()} by {abs(row.difference):.4f} {difference} {rows}"


def metric_table(evaluation: Evaluation, comparison: Comparison | None, confidence: float) -> str:
    """Return the metrics with intervals, and those of the baseline if there is one; positive differences are better."""
    scope = (
        f"{evaluation.rows:,} rows of {', '.join(evaluation.periods)}, {evaluation.blocks} {BLOCK}s resampled, "
        f"{confidence:.0%} intervals"
    )
    if comparison is None:
        head = ["| metric | value | interval | better is |", "|---|---:|---:|---|"]
        rows = [
            f"| {name}{' (leads)' if name == PRIMARY else ''} | {row.value:.4f} | {interval(row)} "
            f"| {'higher' if HIGHER_IS_BETTER[name] else 'lower'} |"
            for name, row in evaluation.metrics.items()
        ]
    else:
        head = ["| metric | before | now | difference (+ is better) | interval | |", "|---|---:|---:|---:|---:|---|"]
        rows = [
            f"| {row.metric}{' (leads)' if row.metric == PRIMARY else ''} | {row.champion:.4f} | {row.candidate:.4f} "
            f"| {row.difference:+.4f} | {signed_interval(row)} | {row.verdict} |"
            for row in comparison.metrics
        ]
    gap = f"Calibration gap {evaluation.calibration.gap:+.4f} ({task.TASK.gap}; {task.worded(evaluation.level)})."
    return "\n".join([*head, *rows, "", scope + ". " + gap])


def segment_table(evaluation: Evaluation, comparison: Comparison | None) -> str:
    """Return the primary metric of every segment, and its difference from the baseline's if there is one."""
    differences = {row.segment: row for row in comparison.segments} if comparison else {}
    head = f"| segment | rows | {PRIMARY} | interval | difference (+ is better) | interval |"
    lines = [head, "|---|---:|---:|---:|---:|---:|"]
    for row in evaluation.segments:
        name = row.segment.replace("|", "/")
        change = differences.get(row.segment)
        more = f"{change.difference:+.4f} | {signed_interval(change)}" if change else "|"
        lines.append(f"| {name} | {row.rows:,} | {row.value:.4f} | {interval(row)} | {more} |")
    return "\n".join(lines)


def folded(title: str, body: str) -> str:
    return f"<details><summary><b>{title}</b></summary>\n\n{body}\n\n</details>"


def plain(page: str) -> str:
    """The page for a terminal: without HTML and pictures."""
    page = re.sub(r"```mermaid.*?```", "", page, flags=re.DOTALL)
    page = re.sub(r"</?details>|<img[^>]*>|</?b>|\*\*", "", page)
    page = re.sub(r"<summary>(.*?)</summary>", r"## \1", page)
    return re.sub(r"\n{3,}", "\n\n", page).strip()
