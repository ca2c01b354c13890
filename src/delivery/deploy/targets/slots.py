"""A slot: one version in its own process or container, which outlives the command that started it.

It is found again by the container's name, or by the folder among a process's arguments: a process id may belong to
another process tomorrow.
"""

import shutil
import time
from pathlib import Path

from delivery.core import files, waiting
from delivery.core.errors import Failure
from delivery.deploy.targets import container, loopback, priority, process, supervised, tokens
from delivery.deploy.targets.state import Slot
from delivery.deploy.targets.target import Release
from delivery.registry import bundle, release


def url(slot: Slot) -> str:
    """Return the address of a slot's service."""
    return f"http://127.0.0.1:{slot.port}"


def running(slot: Slot) -> Release:
    """Return what runs in a slot."""
    return Release(slot.version, slot.model, slot.image, slot.commit)


def model(folder: Path, name: str) -> Path:
    """Return where the exported model of a slot is."""
    return folder / name / "model"


def code(folder: Path, name: str) -> Path:
    """Return where the bundle of a slot is."""
    return folder / name / "release"


def start(folder: Path, slot: Slot, version_files: Path, seconds: float) -> None:
    """Start a slot with a copy of the version's export/ and release/, and wait until it is ready.

    Raise `Failure` with its error line if it ends, or is not ready in `seconds`.
    """
    parts = ((release.EXPORTED, model(folder, slot.name)), (release.BUNDLE, code(folder, slot.name)))
    for part, place in parts:
        with files.replacing(place) as scratch:
            shutil.copytree(version_files / part, scratch)
    (container.run if slot.image else _spawn)(folder, slot)
    _until_ready(folder, slot, seconds)


def again(folder: Path, slot: Slot, seconds: float) -> None:
    """Start a slot from its own files, which a reboot leaves; end what is left of its processes first.

    Raise `Failure` with its error line if it ends, or is not ready in `seconds`.
    """
    process.end(str(model(folder, slot.name)))
    if slot.image:
        container.docker("rm", "--force", container.name_of(folder, slot.name))
    (container.run if slot.image else _spawn)(folder, slot)
    _until_ready(folder, slot, seconds)


def _until_ready(folder: Path, slot: Slot, seconds: float) -> None:
    waiting.until(lambda: ready(slot) or not alive(folder, slot), seconds, process.TICK)
    if not ready(slot):
        raise Failure(f"version {slot.version} did not become ready: {last_line(folder, slot)}")
    _raise_priority(folder, slot)


def _spawn(folder: Path, slot: Slot) -> None:
    held = code(folder, slot.name)
    log = ["--log", str(folder / "predictions" / slot.name)]
    words = bundle.command(held, model(folder, slot.name), slot.port, slot.version, *log, "--drain", "0")
    (folder / f"{slot.name}.log").unlink(missing_ok=True)
    supervisor = supervised.command(folder, slot.name, model(folder, slot.name), words)
    started = process.start(supervisor, held, {**bundle.environment(held), **tokens.read(folder).environment()})
    priority.nice(started.pid, priority.LOW)
    while started.poll() is None and not services(folder, slot.name):
        time.sleep(process.TICK)  # the kernel shows the arguments of a new program a moment after it has begun


def _raise_priority(folder: Path, slot: Slot) -> None:
    """Give a slot that is ready the priority of one that serves; while it started it had less."""
    if slot.image:
        container.raise_share(folder, slot)
    for pid in services(folder, slot.name):
        priority.nice(pid, priority.USUAL)


def stop(folder: Path, name: str, *, engine: bool, seconds: float = process.STOP) -> None:
    """End whatever runs in a slot, within `seconds` or by force, and remove its files but the prediction log.

    Raise `Failure` unless the engine confirms that the container is gone.
    """
    process.end(str(model(folder, name)), seconds)
    if engine:
        container.remove(folder, name, seconds)
    shutil.rmtree(folder / name, ignore_errors=True)
    for file in (f"{name}.log", f"{name}.conf", f"{name}.pid"):
        (folder / file).unlink(missing_ok=True)


def alive(folder: Path, slot: Slot) -> bool:
    """Return whether a slot's process or container is running, whether or not it is ready."""
    if slot.image:
        return container.running(folder, slot.name)
    return bool(services(folder, slot.name))


def ready(slot: Slot) -> bool:
    """Return whether a slot is ready for requests."""
    return loopback.ready(url(slot))


def until_ready(slot: Slot, seconds: float) -> bool:
    """Wait until a slot is ready, for so long at most; return whether it is."""
    return waiting.until(lambda: ready(slot), seconds, process.TICK)


def last_line(folder: Path, slot: Slot) -> str:
    """Return the line of a slot's log that names an error, else the last one."""
    if slot.image:
        text = container.logs(folder, slot.name)
    else:
        log = folder / f"{slot.name}.log"
        text = log.read_text() if log.exists() else ""
    return error_line(text)


def error_line(text: str) -> str:
    """Return the line of a log that names an error, else the last one."""
    lines = text.strip().splitlines() or ["it printed nothing"]
    return next((line for line in lines if "rror" in line), lines[-1])


def services(folder: Path, name: str) -> list[int]:
    """Return the ids of the processes that serve in a slot, without the one that supervises them."""
    return process.having(str(model(folder, name)), "--model")
