"""Verb `history`: print the versions that an environment has had, how each was deployed, and the four DORA metrics."""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import msgspec
from msgspec import Struct

from delivery.adapters import github
from delivery.registry import registry
from delivery.registry.transitions import RETIRED
from delivery.registry.version import Event, events

DAYS = 90  # covered by the figures
SHOWN = 20
RECENT = 5  # events in the summary of a deployment
NONE = "-"


class Figures(Struct, frozen=True):
    """The four DORA metrics of an environment over the last `days`; None if there is nothing to measure."""

    days: int
    changes: int
    refused: int  # deployments that failed before they served
    lead_hours: float | None  # median time from commit to serving
    per_week: float  # changes a week
    failed_share: float | None  # of the changes, those that were rolled back
    restore_hours: float | None  # median time from a change to its rollback


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the verb."""
    parser.add_argument("environment", nargs="?", default="", help="environment to list; without it, all of them")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def main(options: argparse.Namespace) -> None:
    """Print the events and figures of one environment, or of all; in a workflow also in the job's summary."""
    known = registry.versions() if registry.exists() else []
    listed = [event for event in events(known) if options.environment in ("", event.environment)]
    by_environment = {name: figures(listed, name) for name in sorted({event.environment for event in listed})}
    if options.json:
        print(json.dumps(msgspec.to_builtins({"events": listed, "figures": by_environment}), indent=1))
        return
    parts = [table(listed[-SHOWN:]), figures_table(by_environment)]
    page = "\n\n".join(filter(None, parts)) or "Nothing was deployed yet."
    github.summary(page)
    print(page)


def recent(environment: str) -> str:
    """Return the last events of an environment and its figures as Markdown; empty if it has none."""
    listed = [event for event in events(registry.versions()) if event.environment == environment]
    if not listed:
        return ""
    return f"{table(listed[-RECENT:])}\n\n{figures_table({environment: figures(listed, environment)})}"


def figures(listed: Sequence[Event], environment: str, until: datetime | None = None) -> Figures:
    """Return the figures of the DAYS before `until`, which is now by default.

    A change is a version deployed by anything but a rollback. It failed if it was rolled back. A deployment that failed
    before it served any request has harmed nobody, and is counted separately.
    """
    until = until or datetime.now(UTC)
    start = until - timedelta(days=DAYS)
    own = [event for event in listed if event.environment == environment and event.how != RETIRED]
    latest = [event for event in own if parse_time(event.time) > start]
    succeeded = [event for event in latest if event.outcome == "succeeded"]
    changes = [event for event in succeeded if event.how != "rollback"]
    undone = undone_changes(succeeded)
    leads = [hours(event.committed, event.time) for event in changes if event.committed]
    restored = [hours(change.time, rollback.time) for change, rollback in undone]
    weeks = max((until - parse_time(latest[0].time)).days, 7) / 7 if latest else 1
    return Figures(
        days=DAYS,
        changes=len(changes),
        refused=len(latest) - len(succeeded),
        lead_hours=statistics.median(leads) if leads else None,
        per_week=len(changes) / weeks,
        failed_share=len({change.time for change, _ in undone}) / len(changes) if changes else None,
        restore_hours=statistics.median(restored) if restored else None,
    )


def undone_changes(succeeded: Sequence[Event]) -> list[tuple[Event, Event]]:
    """Return (change, rollback) for each rollback of a change."""
    pairs = []
    for rollback in [event for event in succeeded if event.how == "rollback"]:
        earlier = [event for event in succeeded if event.time < rollback.time and event.version == rollback.before]
        if earlier and earlier[-1].how != "rollback":
            pairs.append((earlier[-1], rollback))
    return pairs


def parse_time(time: str) -> datetime:
    """Return the moment of an event."""
    return datetime.fromisoformat(time)


def hours(start: str, end: str) -> float:
    """Return the hours between two moments."""
    return round((parse_time(end) - parse_time(start)).total_seconds() / 3600, 4)


def table(listed: Sequence[Event]) -> str:
    """Return the events as Markdown, newest first."""
    if not listed:
        return ""
    rows = [
        f"| {event.time[:19]}Z | {event.environment} | {event.before or NONE} → {event.version} | {event.how}"
        f"{' ❌' if event.outcome == 'failed' else ''} | {event.by} | {event.commit[:8]}"
        f"{f' #{event.pull}' if event.pull else ''} | {escape(event.reason) or NONE} |"
        for event in reversed(listed)
    ]
    return "\n".join(
        ["| when | environment | version | how | who | commit | why |", "|---|---|---|---|---|---|---|", *rows]
    )


def figures_table(by_environment: Mapping[str, Figures]) -> str:
    """Return the figures as Markdown, one row for each environment."""
    if not by_environment:
        return ""
    rows = [
        f"| {name} | {span(row.lead_hours)} | {row.per_week:.1f} a week | "
        f"{NONE if row.failed_share is None else format(row.failed_share, '.0%')} of {row.changes} | "
        f"{span(row.restore_hours)} | {row.refused} |"
        for name, row in by_environment.items()
    ]
    head = f"| last {DAYS} days | commit to here | changes | rolled back | until restored | refused |"
    return "\n".join([head, "|---|---|---|---|---|---|", *rows])


def span(value: float | None) -> str:
    """Return hours in a readable unit."""
    if value is None:
        return NONE
    if value < 1:
        return f"{value * 60:.0f} min"
    return f"{value:.1f} h" if value < 48 else f"{value / 24:.1f} days"


def escape(text: str) -> str:
    """Return a typed text for a cell of a table: without line breaks, column separators, markup or mentions."""
    return " ".join(text.split()).replace("|", "/").replace("<", "‹").replace("`", "'").replace("@", "@\u200b")
