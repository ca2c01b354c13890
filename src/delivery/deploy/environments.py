"""Environments: which version each points to, and how the pointing is done."""

from collections.abc import Callable
from contextlib import suppress

from delivery.adapters import git, store
from delivery.registry import registry, transitions

REHEARSAL = (
    "This was a rehearsal: no lasting target is configured for `{}`; set one in params.yaml, deploy.environments "
    "(docs/how-to/deploy.md)."
)


def point(environment: str, version: Callable[[], str], how: str, reason: str = "", seconds: float = 0) -> str:
    """Moves the alias, remembers how that came about, and pushes the store; returns the version that it points to.

    `version` is asked again on the newer store where another writer was faster: numbers may have moved.
    `how` and `reason` are what history and audit say of it.
    """
    chosen = ""

    def move() -> None:
        nonlocal chosen
        chosen = version()
        client = registry.connect()
        if environment not in registry.find(client, chosen).aliases:  # the same again changes nothing
            transitions.move(client, environment, chosen, how, reason, seconds)

    move()
    if registry.address() is None:
        store.push(f"Version {chosen} to {environment}", redo=move)
    return chosen


def kept(version: Callable[[], str]) -> str:
    """Pushes the store with a version that nothing points to yet; returns it."""
    chosen = version()

    def again() -> None:
        nonlocal chosen
        chosen = version()

    if registry.address() is None:
        store.push(f"Version {chosen}", redo=again)
    return chosen


def failed(environment: str, version: str, how: str, reason: str) -> None:
    """Remembers a deployment that came to nothing, where the registry can still be told."""

    def note() -> None:
        client = registry.connect()
        event = transitions.now(client, environment, version, how, reason, outcome="failed")
        registry.tag(client, version, transitions.tag(event))

    with suppress(Exception):  # what went wrong before is what a person must read
        note()
        if registry.address() is None:
            store.push(f"Version {version} not to {environment}", redo=note)


def newer(environment: str, commit: str) -> str:
    """The version that serves if its commit came after this one, so that a slow run does not undo a later one."""
    for version in registry.versions(registry.connect()):
        theirs = version.tags.get("git.commit", "")
        if environment in version.aliases and theirs not in ("", commit) and git.precedes(commit, theirs):
            return str(version.version)
    return ""
