"""Verb `rollback`: return an environment to a version that served there before; nothing is built or trained."""

import argparse
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime

from msgspec.structs import replace

from delivery.adapters import deployments, github, provenance
from delivery.core.errors import Failure
from delivery.deploy import artifacts, environments, owed, rehearse, rollout, traffic
from delivery.deploy.owed import Rollback
from delivery.deploy.rollout import Fetch
from delivery.deploy.targets.target import Release, Target
from delivery.registry import counterparts, history, registry
from delivery.registry.version import Version, aliased, pick


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the verb."""
    parser.add_argument("environment", help="environment to roll back, such as production")
    parser.add_argument(
        "--to", default="", metavar="VERSION", help="version to roll back to; default: the previous good one"
    )
    parser.add_argument("--reason", default="", help="reason; recorded on the version that is rolled back")
    traffic.argument(parser)


def main(options: argparse.Namespace) -> None:
    """Roll the environment back and print the outcome."""
    text = run(options.environment, options.to, options.reason, anyway=options.anyway == "true")
    github.summary(text)
    if github.inside():
        github.summary(history.recent(options.environment))
    print(text)


def run(environment: str, to: str, reason: str, *, anyway: bool = False) -> str:
    """Roll an environment back and return the outcome in words.

    `anyway`: also to a version that refuses what clients send. Raise `Failure` if there is no version to return to, or if
    it does not serve in the end; what served before the rollback serves then. Raise `Failure`, too, if it serves and only
    the registry could not be told.
    """
    environments.refuse_unknown(environment)
    kind = environments.settings(environment).target
    if kind not in environments.KINDS:
        return rehearse_only(environment, to, reason)
    with environments.opened(environment) as target:
        return roll_back(target, kind, to, reason, anyway=anyway)


def roll_back(target: Target, kind: str, to: str, reason: str, *, anyway: bool) -> str:
    """Roll back a target that lasts; the registry is read only if no warm version can take over."""
    environment = target.environment
    latest: Rollback | None = None
    records = owed.read(target)
    if records and not to and target.serves(records[-1].to):  # a person repeats a rollback that could not be recorded
        environments.reconcile(target)
        return f"{outcome(environment, records[-1].to, records[-1].left)} That was done before; it is recorded now."
    left = target.serving()
    if target.removed and left and to in ("", left):
        return undone(target, reason, records)
    if not left and not environments.pointed(environment):
        raise Failure(f"nothing serves {environment}; deploy a version")

    def choose() -> tuple[Release, Fetch]:
        nonlocal left
        left, version = choose_versions(environment, to, left)
        return artifacts.started_as(version, kind), lambda: artifacts.download(version)

    def owe(release: Release, seconds: float) -> None:
        nonlocal latest
        now = made(left, release.version, reason, seconds, release.commit)
        latest = replace(latest, seconds=seconds) if latest else now
        keep([*records, latest])

    def keep(all_owed: list[Rollback]) -> None:
        with suppress(OSError, Failure):  # on a full disk it is kept in memory only
            owed.keep(target, all_owed)

    def failed(release: Release, why: str) -> None:
        environments.failed(environment, release.version, "rollback", why)

    try:
        release = rollout.roll_back(target, to, choose, owe, failed, anyway=anyway)
    except BaseException:
        keep([*records, latest] if latest and final(target, latest) else records)
        raise
    environments.reconcile(target, latest)
    return f"{outcome(environment, release.version, left)} It answers {target.location}."


def final(target: Target, rollback: Rollback) -> bool:
    """Return whether a rollback was final, so that only what comes after it has failed."""
    try:
        return target.serving() == rollback.to
    except Failure:  # a cluster that does not answer
        return False


def undone(target: Target, reason: str, records: Sequence[Rollback]) -> str:
    """Record that the version which a killed deployment had put in front of clients was left: it is removed by now.

    One more step back would leave the version that served before it, which nobody has called bad.
    """
    environment, left, to = target.environment, target.removed, target.serving()
    record = made(left, to, reason, 0.0, commit="")
    with suppress(OSError, Failure):
        owed.keep(target, [*records, record])
    environments.failed(environment, left, "deploy", f"its command was killed, then it was rolled back: {reason}")
    environments.reconcile(target, record)
    return f"{outcome(environment, to, left)} Its deployment had been killed before it was final. Version {to} answers {target.location}."


def made(left: str, to: str, reason: str, seconds: float, commit: str) -> Rollback:
    """Return the record of a rollback that is made now."""
    return Rollback(
        left=left,
        to=to,
        reason=reason,
        time=datetime.now(UTC).isoformat(timespec="microseconds"),
        by=provenance.actor(),
        seconds=seconds,
        commit=commit,
    )


def rehearse_only(environment: str, to: str, reason: str) -> str:
    """Run the version on this machine for as long as its contract takes; then move the alias."""
    begun = time.monotonic()
    left, version = choose_versions(environment, to)
    with deployments.deployment(environment, version.commit, f"rollback to version {version.number}"):
        rehearse.version(version, load=False)
        note = made(left, version.number, reason, time.monotonic() - begun, version.commit)
        environments.record_rollback(environment, note)
    return outcome(environment, version.number, left)


def choose_versions(environment: str, to: str, serving: str = "") -> tuple[str, Version]:
    """Return the version to leave, and the one to return to.

    The alias says which one to leave; without an alias it is what is `serving`. Raise `Failure` if there is no version
    to return to, or if it is the one to leave.
    """
    registry.refuse_absent()
    known = registry.versions()
    alias = aliased(known, environment)
    left = alias.number if alias else serving
    if not left:
        raise Failure(f"nothing serves {environment}; deploy a version")
    version = pick(known, to or previous(known, environment))
    if version.number == left:
        raise Failure(f"version {version.number} is what {environment} serves; name another with --to")
    return left, version


def outcome(environment: str, number: str, left: str) -> str:
    """Return the outcome of a rollback in words."""
    return f"`{environment}` is back to version {number}; version {left} is marked as rolled back."


def previous(known: Sequence[Version], environment: str) -> str:
    """Return the last version that served there before and was not rolled back. Raise `Failure` if there is none."""
    if number := counterparts.previous(known, environment):
        return number
    raise Failure(f"no earlier good version of {environment} is known; name one with --to")
