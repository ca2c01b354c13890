"""Markdown for people: tables of metrics and segments, folded sections, a page for the terminal."""

import re

from delivery.stats import task
from problem import BLOCK, HIGHER_IS_BETTER, PRIMARY


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


def folded(title: str, body: str) -> str:
    return f"<details><summary><b>{title}</b></summary>\n\n{body}\n\n</details>"


def plain(page: str) -> str:
    """The page for a terminal: without HTML and pictures."""
    page = re.sub(r"```mermaid.*?```", "", page, flags=re.DOTALL)
    page = re.sub(r"</?details>|<img[^>]*>|</?b>|\*\*", "", page)
    page = re.sub(r"<summary>(.*?)</summary>", r"## \1", page)
    return re.sub(r"\n{3,}", "\n\n", page).strip()
