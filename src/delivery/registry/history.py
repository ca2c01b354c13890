"""Verb `history`: what an environment has had, how it got there, and the four figures of delivery."""

from __future__ import annotations

import argparse
import json
import statistics
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from delivery.adapters import github
from delivery.registry import registry
from delivery.registry.transitions import Event, events

DAYS = 90  # that the figures look back
SHOWN = 20
RECENT = 5  # under a deployment's own summary
NONE = "-"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("environment", nargs="?", default="", help="one alone; without it all")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def main(options: argparse.Namespace) -> None:
    versions = registry.versions(registry.connect()) if registry.exists() else []
    found = [event for event in events(versions) if options.environment in ("", event.environment)]
    named = sorted({event.environment for event in found})
    numbers = {name: figures(found, name) for name in named}
    if options.json:
        told = {"events": msgspec.to_builtins(found), "figures": numbers}
        print(json.dumps(told, indent=1))
        return
    page = "\n\n".join(filter(None, [table(found[-SHOWN:]), figures_table(numbers)])) or "Nothing was deployed yet."
    github.summary(page)
    print(page)


def recent(environment: str) -> str:
    """The last events of an environment, as Markdown, and its figures."""
    found = [event for event in events(registry.versions(registry.connect())) if event.environment == environment]
    if not found:
        return ""
    return f"{table(found[-RECENT:])}\n\n{figures_table({environment: figures(found, environment)})}"


def figures(found: list[Event], environment: str, until: datetime | None = None) -> dict[str, Any]:
    """The four figures of the last DAYS: median lead time and time to restore in hours, rate a week, share that failed.

    A change is a version that came by anything but a rollback. It failed if a rollback took it away. What failed
    before it served anybody's requests has harmed nobody, and is counted apart.
    """
    until = until or datetime.now(UTC)
    mine = [event for event in found if event.environment == environment]
    mine = [event for event in mine if moment(event.time) > until - timedelta(days=DAYS)]
    good = [event for event in mine if event.outcome == "succeeded"]
    changes = [event for event in good if event.how != "rollback"]
    undone = [
        (event, start)
        for event in good
        if event.how == "rollback"
        for start in [next((e for e in reversed(good) if e.time < event.time and e.version == event.before), None)]
        if start and start.how != "rollback"
    ]
    leads = [hours(event.committed, event.time) for event in changes if event.committed]
    restored = [hours(start.time, event.time) for event, start in undone]
    weeks = max((until - moment(mine[0].time)).days, 7) / 7 if mine else 1
    return {
        "days": DAYS,
        "changes": len(changes),
        "refused": len(mine) - len(good),
        "lead_hours": statistics.median(leads) if leads else None,
        "per_week": len(changes) / weeks,
        "failed_share": len({start.time for _, start in undone}) / len(changes) if changes else None,
        "restore_hours": statistics.median(restored) if restored else None,
    }


def moment(time: str) -> datetime:
    return datetime.fromisoformat(time)


def hours(start: str, end: str) -> float:
    return round((moment(end) - moment(start)).total_seconds() / 3600, 4)


def table(found: list[Event]) -> str:
    """Newest first, as Markdown."""
    if not found:
        return ""
    rows = [
        f"| {event.time[:19]}Z | {event.environment} | {event.before or NONE} → {event.version} | {event.how}"
        f"{' ❌' if event.outcome == 'failed' else ''} | {event.by} | {event.commit[:8]}"
        f"{f' #{event.pull}' if event.pull else ''} | {plain(event.reason) or NONE} |"
        for event in reversed(found)
    ]
    return "\n".join(
        ["| when | environment | version | how | who | commit | why |", "|---|---|---|---|---|---|---|", *rows]
    )


def figures_table(numbers: dict[str, dict[str, Any]]) -> str:
    if not numbers:
        return ""
    rows = [
        f"| {name} | {span(of['lead_hours'])} | {of['per_week']:.1f} a week | "
        f"{NONE if of['failed_share'] is None else format(of['failed_share'], '.0%')} of {of['changes']} | "
        f"{span(of['restore_hours'])} | {of['refused']} |"
        for name, of in numbers.items()
    ]
    head = f"| last {DAYS} days | commit to here | changes | rolled back | until restored | refused |"
    return "\n".join([head, "|---|---|---|---|---|---|", *rows])


def span(value: float | None) -> str:
    """Hours as a person says them."""
    if value is None:
        return NONE
    if value < 1:
        return f"{value * 60:.0f} min"
    return f"{value:.1f} h" if value < 48 else f"{value / 24:.1f} days"


def plain(text: str) -> str:
    """Somebody's words in a cell of a table: no line, no column and no code of their own."""
    return " ".join(text.split()).replace("|", "/").replace("<", "‹").replace("`", "'").replace("@", "@\u200b")
