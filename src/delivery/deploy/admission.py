"""Whether a push may take an environment: one rule for documentation pushes, reverts, re-runs, and two pushes at once.

A person who names a version (`deploy`, `rollback --to`) is not asked.
"""

from collections.abc import Sequence

from delivery.adapters import git
from delivery.core.errors import Failure
from delivery.registry import registry
from delivery.registry.version import Event, Version, aliased, events, rolled_back, same_release


class Kept(Failure):
    """The environment keeps its version; the message says why."""


def objection(environment: str, released: str, commit: str, *, again: bool = False) -> str:
    """Return why the release of a commit does not take the environment, in a sentence; empty if it may.

    It does not if the environment, or the last promotion there, has the same release already (unless `again`: a person
    has started the promotion); if a later commit was promoted; or if its version was rolled back there.
    """
    known = registry.versions() if registry.exists() else []
    serving, last = aliased(known, environment), promotion(known, environment)
    if last and git.precedes(commit, head(last)):
        return f"`{environment}` keeps version {number(serving)}: {head(last)[:8]}, which came after {commit[:8]}, was promoted."
    version = same_release(known, released)
    if version is None:
        return ""
    if version is serving:
        return "" if again else f"Nothing that is delivered has changed: version {version.number} is `{environment}`."
    if note := rolled_back(version, environment):
        return (
            f"`{environment}` keeps version {number(serving)}: version {version.number} was rolled back there "
            f"({note}). `delivery deploy {version.number} {environment}` deploys it again."
        )
    if last and last.version == version.number and not again:
        return (
            f"Nothing that is delivered has changed since version {version.number} was promoted; `{environment}` keeps "
            f"version {number(serving)}, which a person has deployed."
        )
    return ""


def refuse(environment: str, released: str, commit: str) -> None:
    """Raise `Kept` if another push or a rollback was faster than this promotion."""
    if kept := objection(environment, released, commit, again=True):
        raise Kept(kept)


def promotion(known: Sequence[Version], environment: str) -> Event | None:
    """Return the newest promotion to the environment that succeeded."""
    return next(
        (
            event
            for event in reversed(events(known))
            if (event.environment, event.how, event.outcome) == (environment, "promote", "succeeded")
        ),
        None,
    )


def head(event: Event) -> str:
    """Return the commit that was promoted; of an event from before that was recorded, the commit of its version."""
    return event.head or event.commit


def number(version: Version | None) -> str:
    """Return the number of a version, or `none`."""
    return version.number if version else "none"
