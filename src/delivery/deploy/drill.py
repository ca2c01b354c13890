"""Verb `drill`: prove that each environment could be rolled back: start that version, ask it recent requests, stop it.

The version is started next to what serves, from the store and the container registry alone. It gets no traffic.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from delivery.adapters import github, provenance, store
from delivery.compatibility.asking import Asked, replay
from delivery.core import workspace
from delivery.core.errors import Failure
from delivery.deploy import artifacts, environments, traffic
from delivery.deploy.targets import host, rehearsal, state
from delivery.probe import contract
from delivery.pull_requests import issues
from delivery.registry import counterparts, registry, release, running, transitions
from delivery.registry.version import Drill, Version, aliased, pick
from delivery.registry.version import environments as ever_served

DAY = 24 * 3600.0
TOLERANCE = 1e-6  # the largest difference of a score that is called equal


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the verb."""
    parser.add_argument("environment", nargs="?", default="", help="environment to drill; all environments if omitted")
    parser.add_argument(
        "--issue", action="store_true", help="open, update or close one issue on GitHub with what failed"
    )


def main(options: argparse.Namespace) -> int:
    """Drill, print a line for each environment, and return 1 if one failed."""
    outcomes = run(options.environment)
    page = "\n".join(line(name, outcome) for name, outcome in outcomes) or "Nothing serves that could be rolled back."
    github.summary(page)
    print(page)
    failed = [line(name, outcome) for name, outcome in outcomes if outcome.failure]
    if options.issue and (failed or not options.environment):  # one environment says nothing of the others
        try:
            print(issues.keep(issues.TITLES["drill"], "\n".join([*failed, github.run_url()]) if failed else ""))
        except Failure as failure:  # issues may be disabled; the run is red in any case
            print(f"There is no issue: {failure}.")
    return 1 if failed else 0


def run(environment: str = "") -> list[tuple[str, Drill]]:
    """Drill one environment, or all that serve, and record the outcomes. Raise `Failure` if nothing serves there."""
    if not environment and not registry.exists():  # a fork's first weeks
        return []
    registry.refuse_absent()
    known = registry.versions()
    names = [environment] if environment else sorted(ever_served(known))
    outcomes = []
    for name in names:
        if not (serving := aliased(known, name)):
            if environment:
                raise Failure(f"nothing serves {name}; deploy a version")
            continue
        if number := counterparts.previous(known, name):
            outcome = attempt(name, pick(known, number), serving)
            record(name, outcome)
            outcomes.append((name, outcome))
        elif environment:
            raise Failure(f"no earlier good version of {name} is known, so there is nothing to roll back to")
    return outcomes


def attempt(environment: str, version: Version, serving: Version) -> Drill:
    """Start a version of an environment, check it, ask it recent requests and stop it; return the outcome.

    Without a log the requests are those that are stored with the version that serves: its clients would meet the older one.
    """
    begun, moment = time.monotonic(), provenance.now()
    try:
        folder = artifacts.download(version)
        exported = folder / release.EXPORTED
        with started(environments.settings(environment).target, version, folder) as url:
            seconds = time.monotonic() - begun
            contract.refuse(url, exported, version.number)
            asked = replay(running.by_service(url), recent(environment) or known_rows(serving), TOLERANCE)
    except (Failure, OSError) as error:
        return Drill(moment, version.number, failure=str(error))
    refused = "; ".join(each.reason for each in asked.refusals[:3])
    return Drill(
        time=moment,
        version=version.number,
        seconds=round(seconds, 1),
        requests=asked.requests,
        accepted=asked.accepted,
        failure=f"it refuses {asked.requests - asked.accepted} of {asked.requests} requests: {refused}"
        if refused
        else "",
    )


def started(target: str, version: Version, folder: Path) -> AbstractContextManager[str]:
    """Start a version on this machine as its target does: its image, or its own code as a process."""
    if target in ("docker", "kubernetes"):
        return rehearsal.container(artifacts.started_as(version, target).image, version.number)
    if target == "rehearsal" and version.image and rehearsal.engine():
        return rehearsal.container(version.image, version.number)
    return running.process(folder / release.EXPORTED, version.number, folder / release.BUNDLE)


def recent(environment: str) -> Sequence[Asked]:
    """Return the newest requests of the last day that the environment answered; none where no log is on this host."""
    settings = environments.settings(environment)
    if settings.target not in ("process", "docker"):
        return []
    folder = host.folder(environment, settings)
    serving = state.read(folder).serving
    return [Asked(line.rows) for line in traffic.newest(folder, serving, DAY)] if serving else []


def known_rows(serving: Version) -> Sequence[Asked]:
    """Return the requests that are stored with the version that serves."""
    folder = registry.download(serving, workspace.CACHE / "versions" / serving.number)
    return counterparts.examples(folder / release.EXPORTED)


def record(environment: str, outcome: Drill) -> None:
    """Record a drill on its version, and push the store."""

    def note() -> None:
        transitions.record_drill(environment, outcome)

    note()
    if registry.address() is None:
        store.push(f"Drill of {environment}", redo=note)


def line(environment: str, outcome: Drill) -> str:
    """Return the outcome in a sentence."""
    if outcome.failure:
        return f"❌ `{environment}` could not be rolled back to version {outcome.version}: {outcome.failure}"
    return f"✅ `{environment}` can be rolled back to version {outcome.version}: {proven(outcome)}"


def proven(outcome: Drill) -> str:
    """Return what a successful drill has shown, in words."""
    share = outcome.accepted / max(outcome.requests, 1)
    return f"ready after {outcome.seconds:g} s, {share:.0%} of {outcome.requests:,} requests accepted"
