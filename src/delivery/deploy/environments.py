"""Environments: the target of each, and which version it points to."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import NamedTuple

from delivery.adapters import deployments, store
from delivery.core import params
from delivery.core.errors import Failure
from delivery.deploy import owed, rollout, signals
from delivery.deploy.targets import host, inspection, kubernetes
from delivery.deploy.targets.target import Report, Target
from delivery.registry import registry, transitions
from delivery.registry.version import aliased

NOT_LASTING = params.Environment(target="rehearsal")
REHEARSAL = (
    "This was a rehearsal: no lasting target is configured for `{}`; set one in params.yaml, deploy.environments "
    "(docs/how-to/deploy.md)."
)


class Kind(NamedTuple):
    """How to change an environment of a target, and how to look at it."""

    opened: Callable[[str, params.Environment, params.Deploy], AbstractContextManager[Target]]
    inspected: Callable[[str, params.Environment, params.Deploy, str | None], Report]


KINDS = {
    "process": Kind(host.opened, inspection.inspected),
    "docker": Kind(host.opened, inspection.inspected),
    "kubernetes": Kind(kubernetes.opened, kubernetes.inspected),
}  # by the name of the target in params.yaml; `rehearsal` has none, because nothing lasts


def settings(environment: str) -> params.Environment:
    """Return what params.yaml says of an environment; a rehearsal if it says nothing."""
    return params.load().deploy.environments.get(environment, NOT_LASTING)


def refuse_unknown(environment: str) -> None:
    """Raise `Failure` with the nearest name unless params.yaml names the environment or it has a version.

    A mistyped name would be a new environment, with an alias that everybody pulls.
    """
    settings = params.load()
    known = {*registry.ENVIRONMENTS, *settings.deploy.environments, *settings.promote.branches.values()}
    if environment in known:
        return
    known |= {alias for version in registry.versions() for alias in version.aliases} if registry.exists() else set()
    if environment not in known:
        near = difflib.get_close_matches(environment, known, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(known))}."
        raise Failure(
            f"there is no environment {environment}; {hint} A new one is a row of deploy.environments in params.yaml"
        )


@contextmanager
def opened(environment: str) -> Iterator[Target]:
    """Yield the target of an environment that lasts, after it has settled what a killed command left."""
    deploy = params.load().deploy
    own = deploy.environments.get(environment, NOT_LASTING)
    with signals.raised(), KINDS[own.target].opened(environment, own, deploy) as target:
        records = owed.read(target)
        target.settle(lambda: records[-1].to if records else pointed(environment), rolled_back=bool(records))
        yield target


def inspected(environment: str, version: str | None) -> Report:
    """Return what an environment that lasts serves now; `version` is the one that its alias names, None if it is not known."""
    deploy = params.load().deploy
    own = deploy.environments.get(environment, NOT_LASTING)
    return KINDS[own.target].inspected(environment, own, deploy, version)


def pointed(environment: str) -> str:
    """Return the version that the environment's alias names; empty if there is none.

    Raise `Failure` if there is no registry: a new one would be empty, and its answer wrong.
    """
    registry.refuse_absent()
    version = aliased(registry.versions(), environment)
    return version.number if version else ""


def point(
    environment: str, version: Callable[[], str], how: str, reason: str = "", seconds: float = 0, *,
    by: str = "", time: str = "",
) -> str:  # fmt: skip
    """Move the alias, record how that came about, and push the store; return the version that it points to.

    `version` is called again on the newer store where another writer was faster: numbers may have moved.
    History and audit show `how`, `reason` and the `seconds` that it took, and `by` whom and when it was done if that
    was not the current user, now.
    """
    chosen = ""

    def move() -> None:
        nonlocal chosen
        chosen = version()
        transitions.ensure(environment, chosen, how, reason, seconds, by=by, time=time)

    move()
    if registry.address() is None:
        store.push(f"Version {chosen} to {environment}", redo=move)
    return chosen


def keep(version: Callable[[], str]) -> str:
    """Push the store with a version that nothing points to yet; return it."""
    chosen = version()

    def again() -> None:
        nonlocal chosen
        chosen = version()

    if registry.address() is None:
        store.push(f"Version {chosen}", redo=again)
    return chosen


def reconcile(target: Target, latest: owed.Rollback | None = None) -> None:
    """Record the rollbacks that are final on the target and not in the registry, `latest` last.

    Raise `Failure` if the registry cannot be told: the records are kept, and nothing leads back to the version that was left.
    """
    try:
        _reconcile(target, latest)
    except Exception as error:  # whatever it is, the version that serves is the wanted one
        environment, serving = target.environment, target.serving()
        raise Failure(
            f"version {serving} serves {environment} again, but the registry has no record of it yet "
            f"({rollout.reason(error)}); the next deploy, rollback or repair of {environment} records it once the registry answers"
        ) from error


def _reconcile(target: Target, latest: owed.Rollback | None) -> None:
    records = owed.read(target)
    if latest:  # a full disk may not have taken it, or only as it was begun
        records = [*(record for record in records if record.time != latest.time), latest]
    if records and records[-1].to != target.serving():  # it was undone before it was final
        records.pop()
        owed.keep(target, records)
    for done, record in enumerate(records, 1):
        title = f"rollback to version {record.to}"
        commit = record.commit or registry.find(record.to).commit
        with deployments.deployment(target.environment, commit, title, target.address):
            record_rollback(target.environment, record)
        owed.keep(target, records[done:])


def record_rollback(environment: str, rollback: owed.Rollback) -> None:
    """Record who rolled back, when and why on the version that was left; then move the alias to the other."""
    registry.refuse_absent()

    def mark() -> str:
        note = f"{rollback.time[:19]}+00:00 by {rollback.by}: {rollback.reason or 'no reason given'}"
        transitions.record_rollback(environment, rollback.left, note)
        return rollback.to

    point(environment, mark, "rollback", rollback.reason, rollback.seconds, by=rollback.by, time=rollback.time)


def failed(environment: str, version: str, how: str, reason: str) -> None:
    """Record a deployment that failed, if the registry can still be written."""

    def note() -> None:
        transitions.record_failure(environment, version, how, reason)

    with suppress(Exception):  # what went wrong before is what a person must read
        registry.refuse_absent()
        note()
        if registry.address() is None:
            store.push(f"Version {version} not to {environment}", redo=note)
