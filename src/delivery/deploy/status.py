"""Verb `status`: what runs where, since when, from which commit and by whom; asked now, not remembered."""

from __future__ import annotations

import argparse
import json
from typing import Any

import msgspec

from delivery.adapters import github
from delivery.core import params
from delivery.core.errors import Failure
from delivery.core.params import Place
from delivery.deploy import artifacts
from delivery.deploy.targets import host, kubernetes, proxy, slots, state
from delivery.registry import registry, transitions
from delivery.registry.history import NONE
from delivery.registry.transitions import Event


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("environment", nargs="?", default="", help="one alone; without it all")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def main(options: argparse.Namespace) -> int:
    """Exit code 1 where something that should serve does not."""
    rows = [row for row in run() if options.environment in ("", row["environment"])]
    if options.environment and not rows:
        raise Failure(f"nothing was ever deployed to {options.environment}, and params.yaml has no row for it")
    page = table(rows)
    if options.json:
        print(json.dumps(rows, indent=1))
    else:
        github.summary(page)
        print(page)
    return 1 if any(row["trouble"] for row in rows) else 0


def run() -> list[dict[str, Any]]:
    """A row for each environment that has a version, or a target."""
    known = registry.versions(registry.connect()) if registry.exists() else []
    places = params.load().deploy.environments
    pointed = {alias: version for version in known for alias in version.aliases}
    found = transitions.events(known)
    return [
        row(name, places.get(name, artifacts.REHEARSAL), pointed.get(name), [e for e in found if e.environment == name])
        for name in sorted({*places, *pointed})
    ]


def row(name: str, place: Place, version: registry.ModelVersion | None, events: list[Event]) -> dict[str, Any]:
    tags = dict(version.tags) if version else {}
    number = str(version.version) if version else ""
    came = next((event for event in reversed(events) if event.version == number and event.outcome == "succeeded"), None)
    about = {
        "environment": name,
        "target": place.target,
        "version": number,
        "address": "",
        "image": tags.get("image.digest", ""),
        "model": tags.get(registry.DIGEST, ""),
        "commit": tags.get("git.commit", ""),
        "pull": tags.get("pull.request", ""),
        "since": came.time if came else (tags.get(f"{name}.since", "").split() or [""])[-1],
        "by": came.by if came else "",
        "how": came.how if came else "",
        "reason": came.reason if came else "",
        "warm": "",
        "trouble": "",
    }
    if place.target == "kubernetes":
        return about | clustered(name, place, number)
    return about | (live(name, place, number) if place.target in ("process", "docker") else {})


def clustered(name: str, place: Place, number: str) -> dict[str, Any]:
    """What the cluster says."""
    there = kubernetes.Cluster(name, place, params.load().deploy)
    serving, trouble = there.serving(), ""
    if not serving:
        trouble = f"nothing runs here; deploy {number or 'a version'}"
    elif not there.serves(serving):
        trouble = f"version {serving} has fewer pods than it should; `kubectl -n {there.namespace} get pods`"
    elif serving != number:
        trouble = f"version {serving} serves, the alias says {number or 'nothing'}; deploy one of them"
    return {"address": place.address, "trouble": trouble}


def live(name: str, place: Place, number: str) -> dict[str, Any]:
    """What this host says: it may be another than the registry thinks."""
    folder = host.folder(name, place)
    now = state.read(folder)
    serving, warm = now.serving, now.warm
    trouble = ""
    if now.candidate:
        trouble = f"version {now.candidate.version} is being tried, or was left half-way: deploy again"
    elif serving is None:
        trouble = f"nothing runs here; deploy {number or 'a version'}"
    elif not proxy.running(folder):
        trouble = f"the proxy is down; deploy {serving.version} again"
    elif not slots.ready(serving):
        trouble = f"version {serving.version} is not ready; roll back, or deploy another"
    elif serving.version != number:
        trouble = f"version {serving.version} serves, the alias says {number or 'nothing'}; deploy one of them"
    return {
        "address": place.address or f"http://127.0.0.1:{place.port}",
        "serving": msgspec.to_builtins(serving),
        "warm": warm.version if warm and slots.ready(warm) else "",
        "trouble": trouble,
    }


def table(rows: list[dict[str, Any]]) -> str:
    if not rows:
        return "Nothing serves yet, and params.yaml (deploy.environments) names no target."
    head = "| environment | version | address | since | how | commit | image | |"
    lines = [
        f"| {row['environment']} | {row['version'] or NONE}{' (warm: ' + row['warm'] + ')' if row['warm'] else ''} | "
        f"{row['address'] or row['target']} | {row['since'][:19] or NONE} | {row['how'] or NONE} by {row['by'] or NONE} | "
        f"{row['commit'][:8] or NONE}{' #' + row['pull'] if row['pull'] else ''} | {row['image'][-12:] or NONE} | "
        f"{'❌ ' + row['trouble'] if row['trouble'] else '✅'} |"
        for row in rows
    ]
    return "\n".join([head, "|---|---|---|---|---|---|---|---|", *lines])
