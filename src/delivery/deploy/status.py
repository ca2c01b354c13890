"""Verb `status`: show what serves in each environment, since when, from which commit and by whom; asked now."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from delivery.adapters import github
from delivery.core import params
from delivery.core.errors import Failure
from delivery.data import freshness
from delivery.deploy import drill, environments
from delivery.deploy.targets.target import Report
from delivery.registry import counterparts, integrity, registry
from delivery.registry.history import NONE
from delivery.registry.version import Event, Version, aliased, drilled, events, moments, pick


class Row(Struct, frozen=True):
    """An environment: the version that its alias names, how that came there, and what its target serves now."""

    environment: str
    target: str
    report: Report
    version: Version | None = None
    since: str = ""
    by: str = ""
    how: str = ""
    reason: str = ""
    rollback: str = ""
    """What is known of a rollback: to which version, and whether that was proven to start; empty without one."""
    record: integrity.Finding | None = None
    """Whether the version is the one that git records."""

    @property
    def number(self) -> str:
        """Return the version's number; empty if the environment has none."""
        return self.version.number if self.version else ""

    @property
    def trouble(self) -> str:
        """Return what is wrong with the environment or its version; empty if nothing is."""
        exchanged = self.record.text if self.record and self.record.state == "different" else ""
        return "; ".join(filter(None, (self.report.trouble, exchanged)))


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the verb."""
    parser.add_argument("environment", nargs="?", default="", help="environment to show; without it, all of them")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def main(options: argparse.Namespace) -> int:
    """Print the rows; return 1 if something that should serve does not, or is not what git records."""
    rows = [row for row in run() if options.environment in ("", row.environment)]
    if options.environment and not rows:
        raise Failure(f"nothing was ever deployed to {options.environment}, and params.yaml has no row for it")
    page = "\n\n".join([table(rows), *(f"❌ {line}" for line in late())])
    if options.json:
        print(json.dumps([document(row) for row in rows], indent=1))
    else:
        github.summary(page)
        print(page)
    return 1 if any(row.trouble for row in rows) else 0


def late() -> list[str]:
    """Return what no longer arrives of rows and labels. It changes no exit code: what serves is right all the same."""
    try:
        return freshness.late(freshness.read(), params.load().drift) if freshness.RECORD.exists() else []
    except Failure as failure:
        return [str(failure)]


def run() -> list[Row]:
    """Return a row for each environment that has a version, or a target; without a registry what the targets serve."""
    unread, known = "", list[Version]()
    try:
        registry.refuse_absent()
        known = registry.versions()
    except Failure as failure:
        unread = str(failure)
    listed = events(known)
    aliases = {alias for version in known for alias in version.aliases}
    names = sorted({*params.load().deploy.environments, *aliases})
    return [without_registry(name, unread) if unread else row(name, known, listed) for name in names]


def without_registry(name: str, why: str) -> Row:
    """Return what an environment's target serves, and why the registry says nothing about it if something does."""
    kind = environments.settings(name).target
    report = environments.inspected(name, None) if kind in environments.KINDS else Report("", "")
    if report.answers or report.serving:
        answer = f"version {report.answers} answers" if report.answers else ""
        report = replace(report, trouble="; ".join(filter(None, (report.trouble, answer, why))))
    return Row(name, kind, report)


def row(name: str, known: Sequence[Version], listed: Sequence[Event]) -> Row:
    """Return what the registry says of an environment, and what its target says now."""
    kind = environments.settings(name).target
    version = aliased(known, name)
    number = version.number if version else ""
    report = environments.inspected(name, number) if kind in environments.KINDS else Report("", "")
    if version is None:
        return Row(name, kind, report)
    came = next(
        (e for e in reversed(listed) if (e.environment, e.version, e.outcome) == (name, number, "succeeded")), None
    )
    return Row(
        name,
        kind,
        report,
        version,
        since=came.time if came else (moments(version, name)[-1:] or [""])[0],
        by=came.by if came else "",
        how=came.how if came else "",
        reason=came.reason if came else "",
        rollback=rollback(name, known),
        record=integrity.examine(version),
    )


def rollback(environment: str, known: Sequence[Version]) -> str:
    """Return to which version a rollback leads, and what the last drill has shown; empty if there is none."""
    number = counterparts.previous(known, environment)
    if not number:
        return ""
    version = pick(known, number)
    if (record := integrity.examine(version)).state == "different":
        return f"to version {number}: ❌ would be refused: {record.text}"
    proof = drilled(version, environment)
    if proof is None:
        return f"to version {number}: not proven; `delivery drill {environment}` does it"
    if proof.failure:
        return f"to version {number}: failed in the drill of {proof.time[:10]}: {proof.failure}"
    return f"to version {number}: proven on {proof.time[:10]}, {drill.proven(proof)}"


def document(row: Row) -> dict[str, Any]:
    """Return a row as `--json` prints it."""
    version, report = row.version, msgspec.to_builtins(row.report)
    return {
        "environment": row.environment,
        "target": row.target,
        "version": row.number,
        "address": report.pop("address"),
        "release": version.release if version else "",
        "changes": version.changes if version else "",
        "image": version.image if version else "",
        "model": version.digest if version else "",
        "commit": version.commit if version else "",
        "pull": version.pull if version else "",
        "since": row.since,
        "by": row.by,
        "how": row.how,
        "reason": row.reason,
        "rollback": row.rollback,
        "record": row.record.text if row.record else "",
        "warm": report.pop("warm"),
        **report,
        "trouble": row.trouble,
    }


def table(rows: Sequence[Row]) -> str:
    """Return the rows as Markdown."""
    if not rows:
        return "Nothing serves yet, and params.yaml (deploy.environments) names no target."
    head = "| environment | version | address | since | how | commit | image | |"
    changed = [
        f"\nVersion {row.number} of {row.environment} changed {row.version.changes}."
        for row in rows
        if row.version and row.version.changes
    ]
    kept = [
        f"\nVersion {row.number} of {row.environment} is {row.record.text}."
        for row in rows
        if row.record and row.record.state != "different"
    ]
    ways = [f"\nRollback of {row.environment} {row.rollback}." for row in rows if row.rollback]
    return "\n".join([head, "|---|---|---|---|---|---|---|---|", *map(line, rows), *changed, *kept, *ways])


def line(row: Row) -> str:
    """Return a row of the table."""
    report, version = row.report, row.version
    commit = f"{version.commit[:8] or NONE}{' #' + version.pull if version.pull else ''}" if version else NONE
    cells = [
        row.environment,
        f"{row.number or NONE}{f' (warm: {report.warm})' if report.warm else ''}",
        report.address or row.target,
        row.since[:19] or NONE,
        f"{row.how or NONE} by {row.by or NONE}",
        commit,
        (version.image[-12:] if version else "") or NONE,
        f"❌ {row.trouble}" if row.trouble else "✅",
    ]
    return f"| {' | '.join(cells)} |"
