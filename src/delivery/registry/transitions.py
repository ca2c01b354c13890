"""Moves of an environment from version to version: made, and kept in the registry as tags of the versions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from delivery.adapters import git, github, provenance
from delivery.registry import registry

LONG = 500  # letters of a reason; MLflow takes 5000 for the whole


class Event(Struct, frozen=True, omit_defaults=True):
    """Kept as a tag of the version, in the registry: whoever can roll back can also see what happened."""

    time: str
    environment: str
    version: str
    how: str  # the verb: promote, deploy, rollback, run, register; or canary
    by: str = ""
    outcome: str = "succeeded"  # or failed: what served before goes on
    before: str = ""  # the version that it took the place of
    reason: str = ""
    commit: str = ""
    committed: str = ""  # when that commit was made
    pull: str = ""
    image: str = ""
    run: str = ""  # address of the workflow run
    seconds: float = 0.0


def now(
    client: registry.MlflowClient, environment: str, version: str, how: str, reason: str = "", seconds: float = 0.0, *,
    outcome: str = "succeeded",
) -> Event:  # fmt: skip
    known = registry.versions(client)
    tags = next(dict(one.tags) for one in known if str(one.version) == version)
    commit = tags.get("git.commit", "")
    return Event(
        time=datetime.now(UTC).isoformat(timespec="microseconds"),
        environment=environment,
        version=version,
        how=how,
        by=provenance.actor(),
        outcome=outcome,
        before=next((str(one.version) for one in known if environment in one.aliases), ""),
        reason=reason[:LONG],
        commit=commit,
        committed=git.committed(commit) if commit else "",
        pull=tags.get("pull.request", ""),
        image=tags.get("image.digest", ""),
        run=github.run_url() if github.inside() else "",
        seconds=round(seconds, 3),
    )


def move(
    client: registry.MlflowClient, environment: str, version: str, how: str, reason: str = "", seconds: float = 0.0
) -> None:
    """The environment's alias to the version, and the event with it."""
    event = now(client, environment, version, how, reason, seconds)
    # Never before the move that it came after, whatever this machine's clock says.
    point(client, environment, version, lambda moment: tag(replace(event, time=max(event.time, moment))))


def point(
    client: registry.MlflowClient, alias: str, version: str, record: Callable[[str], Mapping[str, str]] = lambda _: {}
) -> None:
    """Moves an alias; the history of an environment stays as tags of its versions.

    `record` gives the tags that tell of this move, for its moment. They and the history come first and the alias
    follows its newest entry, until that is so: of several writers at once, on a server, who sets the alias last sets it
    to what the history says.
    """
    found = registry.versions(client)
    known = next(known.tags for known in found if str(known.version) == version)
    moment = max(provenance.now(), _after(of(found, alias)))
    tags = {**record(moment), f"{alias}.since": f"{known.get(f'{alias}.since', '')} {moment}".strip()}
    registry.insist(lambda: registry.tag(client, version, tags))
    serving = ""
    while serving != (newest := of(registry.versions(client), alias)[-1][1]):
        registry.insist(partial(client.set_registered_model_alias, registry.MODEL, alias, newest))
        serving = newest


def _after(moments: list[tuple[str, str]]) -> str:
    """The second after the newest, whatever the clock of the machine that wrote it."""
    if not moments:
        return ""
    return (datetime.fromisoformat(moments[-1][0]) + timedelta(seconds=1)).isoformat(timespec="seconds")


def of(versions: Iterable[registry.ModelVersion], alias: str) -> list[tuple[str, str]]:
    """(time, version) of each time that an environment got a version, oldest first."""
    moments = [
        (time, str(version.version)) for version in versions for time in version.tags.get(f"{alias}.since", "").split()
    ]
    return sorted(moments, key=lambda moment: (moment[0], int(moment[1])))


def tag(event: Event) -> dict[str, str]:
    stamp = event.time.translate(str.maketrans("", "", "-:.")).partition("+")[0]
    return {f"{event.environment}.event.{stamp}": msgspec.json.encode(event).decode()}


def events(versions: Iterable[registry.ModelVersion]) -> list[Event]:
    """Oldest first."""
    found = [
        msgspec.json.decode(value, type=Event)
        for version in versions
        for name, value in version.tags.items()
        if ".event." in name
    ]
    return sorted(found, key=lambda event: event.time)
