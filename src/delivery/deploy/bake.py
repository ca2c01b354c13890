"""Verb `bake`: watch a version for some minutes after its deployment, and roll it back if it fails.

`deploy` starts it on a host as a process of its own, which outlives the job or the terminal that deployed.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from msgspec import Struct

from delivery.core import params
from delivery.core.errors import Failure
from delivery.deploy import environments, own_metrics, rollback, rollout, traffic, watched
from delivery.deploy.targets import host, process, state
from delivery.deploy.targets.counts import Counts
from delivery.deploy.targets.host import Host
from delivery.registry import bundle

REGISTRY = ("MLFLOW_TRACKING_URI",)  # without its credentials a rollback is recorded by the next verb
TICK = 2.0  # seconds; each look costs the service a page of metrics
PAUSE = 60.0  # seconds until versions that did not differ side by side are asked again
EVERY = 15.0  # seconds between two looks at a team's own metrics; Prometheus scrapes about as often
TRIES = 5  # of a rollback at least, though the time is up; each failure is recorded, so the pauses between them grow
FIRST = 5.0  # seconds until a rollback that failed is tried again, twice as long after each, up to PAUSE
LOG = "bake.log"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the verb."""
    parser.add_argument("environment", help="environment whose newest deployment is watched")


def main(options: argparse.Namespace) -> None:
    """Watch, and print how it ended."""
    environment = options.environment
    settings, deploy = environments.settings(environment), params.load().deploy
    home = host.folder(environment, settings)
    plan = watched.read(home)
    print(watch(plan, Host(environment, settings, deploy)), flush=True)


def begin(target: Host) -> str:
    """Start to watch what serves, if there is a version to return to; return a sentence about it, or nothing."""
    minutes, serving, warm = target.deploy.bake_minutes, target.state.serving, target.state.warm
    if not (minutes and serving and warm and target.usual):
        return ""
    plan = watched.Plan(
        serving.version,
        serving.since,
        time.time() + 60 * minutes,
        target.usual,
        target.before or target.usual,
        watched.observed(target, target.usual.since(target.usual)),
    )
    watched.write(target.folder, plan)
    with (target.folder / LOG).open("w") as log:
        variables = bundle.inherited() | {name: os.environ[name] for name in REGISTRY if name in os.environ}
        process.start([sys.executable, "-m", "delivery", "bake", target.environment], Path.cwd(), variables, log)
    return f" It is watched for {minutes:g} minutes, and version {warm.version} takes over again if it fails."


class Looks(Struct):
    """What a watch has seen so far."""

    last: Counts
    seen: Counts
    """Since the watch began."""
    compared: bool = False
    """Whether latency and scores could be compared."""
    answer: own_metrics.Answer = own_metrics.Answer()
    asked: float = -PAUSE
    """When both versions were asked the same requests."""
    metrics_asked: float = -EVERY
    fault: str = ""
    """Why the newest look failed."""


def watch(plan: watched.Plan, target: Host) -> str:
    """Watch until the time is up, something else serves, or the version fails; return which it was.

    No lock is held meanwhile: other verbs go first. A metric of the team's own that is not known makes the time longer, by as
    much as it holds a canary. A look or a rollback that fails is repeated: a fault that passes leaves no bad version behind.
    Raise `Failure` if the version before refuses what clients send, if no rollback succeeded, or if the last look failed or
    left a metric unknown.
    """
    looks, ask = Looks(plan.begun, plan.begun.since(plan.begun)), watched.metrics(target, plan)
    complaint, failed, tries, again = "", "", 0, 0.0
    while time.time() < plan.until + (target.deploy.canary.hold_seconds if looks.answer.unknown else 0) or (
        complaint and tries < TRIES
    ):
        time.sleep(TICK)
        try:
            target.state = state.read(target.folder)
        except state.Damaged:
            continue  # `repair` writes it again
        if not plan.serves(target.state):
            return f"version {plan.version} does not serve any more; it is not watched further"
        if target.state.candidate and state.holder(target.folder):
            continue
        complaint = complaint or look(plan, target, ask, looks)
        if not complaint or time.monotonic() < again:
            continue
        try:
            done = rollback.run(target.environment, "", f"within {target.deploy.bake_minutes:g} minutes: {complaint}")
            if not plan.serves(state.read(target.folder)):
                return done
            print(done, flush=True)  # it took back another version, whose deployment had been killed after its switch
        except state.Taken:
            continue  # whoever has the lock may do it
        except Exception as error:  # whatever it is, the version that serves is known to be bad
            if isinstance(error.__cause__, traffic.Refused):
                raise
            failed, again = rollout.reason(error), time.monotonic() + min(FIRST * 2**tries, PAUSE)
            tries += 1
            print(f"rollback {tries} failed, and is tried again: {failed}", flush=True)
    if complaint:
        raise Failure(f"version {plan.version} fails ({complaint}), and {tries} rollbacks did, the last one: {failed}")
    return summary(plan, target.deploy.canary.requests, looks)


def look(plan: watched.Plan, target: Host, ask: own_metrics.Ask, looks: Looks) -> str:
    """Return the complaint about the version after one more look; empty if there is none, or if the look fails."""
    try:
        complaint, fault = _complaint(plan, target, ask, looks), ""
    except Exception as error:  # whatever it is, the next look may succeed
        complaint, fault = "", f"{type(error).__name__}: {rollout.reason(error)}"
    if fault and fault != looks.fault:
        print(f"a look failed: {fault}", flush=True)
    looks.fault = fault
    return complaint


def _complaint(plan: watched.Plan, target: Host, ask: own_metrics.Ask, looks: Looks) -> str:
    settings = target.deploy.canary
    looks.last = watched.observed(target, looks.last)
    looks.seen = looks.last.since(plan.begun)
    complaint = watched.judged(looks.seen, plan.usual, settings)
    suspicion = watched.suspected(looks.seen, plan, settings)
    looks.compared = looks.compared or suspicion is not None
    if not complaint and time.monotonic() > looks.metrics_asked + EVERY:
        looks.answer, looks.metrics_asked = ask(), time.monotonic()
        complaint = "; ".join(looks.answer.worse)
    if complaint or suspicion is None or time.monotonic() <= looks.asked + PAUSE:
        return complaint
    if not (suspicion.slower or suspicion.moved):
        return ""
    complaint, looks.asked = watched.confirmed(suspicion, target, plan.life.score_bounds), time.monotonic()
    if not complaint:
        differences = "; ".join(filter(None, [*suspicion.slower, suspicion.moved]))
        print(f"not so when both versions are asked the same requests: {differences}", flush=True)
    return complaint


def summary(plan: watched.Plan, needed: int, looks: Looks) -> str:
    """Return what was seen until the end. Raise `Failure` if something could not be seen then."""
    seen = looks.seen
    few = f"; too few to compare latency and scores ({seen.predictions} of {needed})" if not looks.compared else ""
    text = f"version {plan.version} was watched until the end: {seen.requests} requests, {seen.errors} failed{few}"
    unknown = [*looks.answer.unknown, *([f"the last look failed ({looks.fault})"] if looks.fault else [])]
    if unknown:
        raise Failure(f"{text}; {'; '.join(unknown)}")
    return text
