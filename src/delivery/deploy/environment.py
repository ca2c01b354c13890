"""Environments: which version each points to, and how the pointing is done."""

from collections.abc import Callable

from delivery import git, registry, store

REHEARSAL = "This was a rehearsal: no lasting target is configured for `{}`; docs/operations.md says how."


def point(environment: str, version: Callable[[], str], how: str) -> str:
    """Moves the alias and pushes the store; returns the version that it points to.

    `version` is asked again on the newer store where another writer was faster: numbers may have moved.
    `how`, the verb and its reason, is what the audit says of it.
    """
    chosen = ""

    def move() -> None:
        nonlocal chosen
        chosen = version()
        client = registry.connect()
        if environment not in registry.find(client, chosen).aliases:  # the same again changes nothing
            registry.point(client, environment, chosen, how)

    move()
    if registry.address() is None:
        store.push(f"Version {chosen} to {environment}", redo=move)
    return chosen


def newer(environment: str, commit: str) -> str:
    """The version that serves if its commit came after this one, so that a slow run does not undo a later one."""
    for version in registry.versions(registry.connect()):
        theirs = version.tags.get("git.commit", "")
        if environment in version.aliases and theirs not in ("", commit) and git.precedes(commit, theirs):
            return str(version.version)
    return ""
