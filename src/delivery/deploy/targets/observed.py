"""What is on a host, whatever its records say: the services of both slots, what each was started as, and who answers."""

import json
import re
import shlex
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from msgspec.structs import replace

from delivery.core import files
from delivery.core.errors import Failure
from delivery.deploy.targets import container, loopback, process, proxy, slots
from delivery.deploy.targets.state import Slot, State

WEIGHT = re.compile(r"^ +server (\w+) 127\.0\.0\.1:\d+ weight (\d+)(?! disabled)", re.MULTILINE)


def slot(folder: Path, name: str) -> Slot | None:
    """Return what a slot's container or process was started as, whether or not it still runs; None if there is neither."""
    return _container(folder, name) or _process(folder, name)


def _container(folder: Path, name: str) -> Slot | None:
    try:
        inspected = container.docker("inspect", container.name_of(folder, name))
    except FileNotFoundError:
        return None
    if inspected.returncode:
        return None
    config = json.loads(inspected.stdout)[0]["Config"]
    values = dict(entry.partition("=")[::2] for entry in config["Env"])
    return _slot(folder, name, values.get("SERVE_PORT", ""), values.get("SERVE_VERSION", ""), config["Image"])


def _process(folder: Path, name: str) -> Slot | None:
    words = next(filter(None, (process.arguments(pid) for pid in slots.services(folder, name))), None)
    if words is None:
        words = started_as(folder, name)
    return _slot(folder, name, after(words, "--port"), after(words, "--version"))


def started_as(folder: Path, name: str) -> list[str]:
    """Return the command that the slot's supervisor runs; empty if the slot was stopped, or never used."""
    try:
        text = (folder / f"{name}.conf").read_text()
    except OSError:
        return []
    command = next((line for line in text.splitlines() if line.startswith("command = ")), "")
    return shlex.split(command.removeprefix("command = ").replace("%%", "%"))


def after(words: Sequence[str], option: str) -> str:
    """Return the value of an option among the words of a command; empty if it has none."""
    return next((value for word, value in pairwise(words) if word == option), "")


def _slot(folder: Path, name: str, port: str, version: str, image: str = "") -> Slot | None:
    if not (port.isdigit() and version):
        return None
    exported = slots.model(folder, name)
    return Slot(name, int(port), version, files.digest(exported) if exported.is_dir() else "", image)


def state(folder: Path, pointed: str) -> State:
    """Return the state of an environment as it is observed; `pointed` is the version that the alias names, or empty.

    What serves is the slot that gets traffic, else the one of that version. The other one is warm, and counts as rolled back:
    nobody knows that it was not, and a person can name it.
    """
    found = {name: one for name in proxy.SLOTS if (one := slot(folder, name))}
    weights = traffic(folder)
    ranked = sorted(
        found.values(),
        key=lambda one: (weights.get(one.name, 0), one.version == pointed, slots.ready(one)),
        reverse=True,
    )
    serving, warm = (*ranked, None, None)[:2]
    return State(serving=serving, warm=replace(warm, rolled_back=True) if warm else None)


def traffic(folder: Path) -> dict[str, int]:
    """Return the weight of each slot that gets traffic: as the proxy has it, else as its file does."""
    try:
        rows = proxy.counters(folder)
        return {
            name: int(rows[name]["weight"] or 0) for name in proxy.SLOTS if not rows[name]["status"].startswith("MAINT")
        }
    except (Failure, KeyError, ValueError):
        pass
    try:
        return {name: int(weight) for name, weight in WEIGHT.findall((folder / "haproxy.cfg").read_text())}
    except OSError:
        return {}


def answering(folder: Path) -> list[str]:
    """Return the slots that answer clients now, as the proxy sees them; the spare one if no other does.

    Raise `Failure` if the proxy does not tell.
    """
    rows = {name: row for name, row in proxy.counters(folder).items() if row["status"].startswith("UP")}
    first = [name for name, row in rows.items() if name in proxy.SLOTS and int(row["weight"] or 0)]
    return first or [name.removesuffix(proxy.SPARE) for name in rows if name.endswith(proxy.SPARE)]


def listening(url: str) -> bool:
    """Return whether a proxy answers clients at all, be it with an error."""
    return bool(loopback.status(f"{url}/health/ready", seconds=5))


def orphans(folder: Path, now: State) -> list[str]:
    """Return the slots with a process or container that the state does not know."""
    known = {one.name for one in (now.serving, now.warm, now.candidate) if one}
    return [name for name in proxy.SLOTS if name not in known and slot(folder, name)]
