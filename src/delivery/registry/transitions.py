"""Move an environment from version to version, and record the move in the registry as tags of the versions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from msgspec.structs import replace

from delivery.adapters import git, github, provenance
from delivery.registry import registry
from delivery.registry.version import (
    Drill,
    Event,
    Version,
    aliased,
    drill_tags,
    event_tags,
    events,
    moment_tags,
    pick,
    rolled_back,
    rolled_back_tags,
    served,
)

RETIRED = "retire"  # how an environment came to have no version
REASON = 500  # characters of a reason that are kept; MLflow takes 5,000 for the whole event


def event_now(
    known: Sequence[Version], environment: str, number: str, how: str, reason: str = "", seconds: float = 0.0, *,
    outcome: str = "succeeded", by: str = "", time: str = "",
) -> Event:  # fmt: skip
    """Return the event of a move; by default one that the current user or workflow makes now."""
    version, before = pick(known, number), aliased(known, environment)
    return Event(
        time=time or datetime.now(UTC).isoformat(timespec="microseconds"),
        environment=environment,
        version=number,
        how=how,
        by=by or provenance.actor(),
        outcome=outcome,
        before=before.number if before else "",
        reason=reason[:REASON],
        commit=version.commit,
        committed=git.committed(version.commit) if version.commit else "",
        pull=version.pull,
        image=version.image,
        head=git.head() or "" if how == "promote" else "",
        run=github.run_url() if github.inside() else "",
        seconds=round(seconds, 3),
    )


def move(environment: str, number: str, how: str, reason: str = "", seconds: float = 0.0) -> None:
    """Move the environment's alias to the version, and record the event."""
    with registry.connection():
        _move(event_now(registry.versions(), environment, number, how, reason, seconds))


def ensure(
    environment: str, number: str, how: str, reason: str = "", seconds: float = 0.0, *, by: str = "", time: str = ""
) -> bool:
    """Move the environment unless it has this version already; return whether it moved.

    `by` and `time` are given for a move that somebody made earlier.
    """
    with registry.connection():
        known = registry.versions()
        if environment in pick(known, number).aliases:
            return False
        _move(event_now(known, environment, number, how, reason, seconds, by=by, time=time), time)
        return True


def _move(event: Event, time: str = "") -> None:
    def record(moment: str) -> Mapping[str, str]:
        # Never earlier than the previous move, whatever this machine's clock says.
        return event_tags(replace(event, time=max(event.time, moment)))

    point(event.environment, event.version, record, time[:19] and time[:19] + "+00:00")


def retire(environment: str, reason: str) -> str:
    """Record that an environment is out of service, and remove its alias; return the version that it had.

    Return an empty string if it has no version, such as after a retirement that was interrupted.
    """
    with registry.connection():
        known = registry.versions()
        version = aliased(known, environment)
        if version is None:
            return ""
        event = event_now(known, environment, version.number, RETIRED, reason)
        registry.tag(version.number, event_tags(_in_order(known, event)))
        registry.unpoint(environment)
        return version.number


def record_failure(environment: str, number: str, how: str, reason: str) -> None:
    """Record a deployment that failed; the environment keeps its version."""
    with registry.connection():
        known = registry.versions()
        event = event_now(known, environment, number, how, reason, outcome="failed")
        registry.tag(number, event_tags(_in_order(known, event)))


def record_rollback(environment: str, number: str, note: str) -> None:
    """Record on a version that the environment was rolled back from it."""
    registry.tag(number, rolled_back_tags(environment, note))


def record_drill(environment: str, drill: Drill) -> None:
    """Record on a version what came of starting it as the version to roll the environment back to."""
    failure = drill.failure[:REASON]
    with registry.connection():
        registry.tag(drill.version, drill_tags(environment, replace(drill, failure=failure)))


def point(alias: str, number: str, record: Callable[[str], Mapping[str, str]] = lambda _: {}, time: str = "") -> None:
    """Move an alias, now or at an earlier `time`; the history of an environment is kept as tags of its versions.

    `record` returns the tags of this move, for its moment. They and the history are written first and the alias
    follows the newest entry until both agree: of several writers at once, on a server, whoever sets the alias last
    sets it to what the history says.
    """
    with registry.connection():
        known = registry.versions()
        moment = max(time or provenance.now(), _after(known, alias))
        version = pick(known, number)
        # Whoever brings a version back accepts it: it is not one that was left any more.
        accepted = rolled_back_tags(alias, "") if rolled_back(version, alias) else {}
        registry.tag(number, {**record(moment), **moment_tags(version, alias, moment), **accepted})
        pointed = ""
        while pointed != (newest := served(registry.versions(), alias)[-1][1]):
            registry.point(alias, newest)
            pointed = newest


def _in_order(known: Sequence[Version], event: Event) -> Event:
    """Return an event with a time that is not earlier than the events before it, whatever this machine's clock says."""
    return replace(event, time=max(event.time, _after(known, event.environment)))


def _after(known: Sequence[Version], environment: str) -> str:
    """Return the second after the newest move or event of an environment, whatever the clock of the machine that recorded it.

    A retirement is an event and no move: the environment has no version then.
    """
    times = [moment for moment, _ in served(known, environment)]
    times += [event.time for event in events(known) if event.environment == environment]
    if not times:
        return ""
    newest = max(map(datetime.fromisoformat, times))
    return (newest + timedelta(seconds=1)).isoformat(timespec="seconds")
