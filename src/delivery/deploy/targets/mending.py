"""Bring an environment of this host back from what is observed; what serves goes on serving meanwhile."""

from collections.abc import Callable
from pathlib import Path

from msgspec.structs import replace

from delivery.core.errors import Failure
from delivery.deploy.targets import loopback, observed, proxy, slots, state, tokens
from delivery.deploy.targets.host import Host
from delivery.deploy.targets.state import Slot

PATIENCE = 5.0  # seconds for a supervisor to bring a process back
Fetch = Callable[[str], Path]
"""Put the files of a version on this disk; return their folder."""


def read_again(folder: Path, pointed: str, good: Callable[[str], bool], since: Callable[[str], str]) -> list[str]:
    """Write a state that cannot be read again from what runs; return lines about it, if there are any.

    `good` returns whether a version is known not to have been rolled back here; only such a one answers by itself when the
    one that serves has gone. `since` returns since when a version serves, or an empty string.
    """
    try:
        state.read(folder)
    except state.Damaged:
        now = observed.state(folder, pointed)
        serving, warm = now.serving, now.warm
        if serving:
            serving = replace(serving, since=since(serving.version))
        if warm and good(warm.version):
            warm = replace(warm, rolled_back=False)
        state.write(folder, replace(now, serving=serving, warm=warm))
        found = ", ".join(f"version {slot.version} in {slot.name}" for slot in (serving, warm) if slot)
        lines = [f"state.json could not be read and is written again: {found or 'nothing runs'}"]
        if warm and warm.rolled_back:
            lines.append(
                f"version {warm.version} is kept warm but answers nobody by itself: it was rolled back, or the registry does "
                f"not say; `delivery rollback {folder.name} --to {warm.version}` returns to it"
            )
        return lines
    return []


def mend(host: Host, fetch: Fetch) -> list[str]:
    """Start what should run and does not, and end what runs and should not; return a line about each.

    Raise `Failure` if the version that should serve cannot be started.
    """
    lines = []
    for name in observed.orphans(host.folder, host.state):
        slots.stop(host.folder, name, engine=_contained(host.folder, name))
        lines.append(f"slot {name} had a process that is on no record; it is ended")
    now = host.state
    if now.serving is None:
        return lines
    if not slots.ready(now.serving):
        host.state = replace(now, serving=revived(host, now.serving, fetch))
        lines.append(f"version {now.serving.version} is started again")
    if not proxy.running(host.folder):  # before the warm version is started: clients wait
        reached = observed.listening(host.url)
        host.rest()
        lines.append("the proxy is on its socket again" if reached else "the proxy is started again")
    if now.warm and not slots.ready(now.warm):
        try:
            host.state = replace(host.state, warm=revived(host, now.warm, fetch))
            lines.append(f"version {now.warm.version} is started again and kept warm")
        except (Failure, OSError) as failure:
            slots.stop(host.folder, now.warm.name, engine=bool(now.warm.image))
            host.state = replace(host.state, warm=None)
            lines.append(f"version {now.warm.version} is not warm any more: {failure}")
    host.rest()
    return lines


def revived(host: Host, slot: Slot, fetch: Fetch) -> Slot:
    """Return a slot that is ready again: after its supervisor's next try, else started from its own or the store's files."""
    if slots.alive(host.folder, slot) and slots.until_ready(slot, PATIENCE):
        return slot
    seconds = host.deploy.ready_seconds
    port = slot.port if loopback.free(slot.port) else loopback.free_port()
    slot = replace(slot, port=port, access=tokens.read(host.folder).name)
    if slots.model(host.folder, slot.name).is_dir():
        slots.again(host.folder, slot, seconds)
    else:
        slots.start(host.folder, slot, fetch(slot.version), seconds)
    return slot


def _contained(folder: Path, name: str) -> bool:
    found = observed.slot(folder, name)
    return bool(found and found.image)
