"""A slot's container: how it is named, started and asked for."""

import hashlib
import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from delivery.core.errors import Failure
from delivery.deploy.targets import tokens
from delivery.deploy.targets.state import Slot

SHARES, FEW_SHARES = "1024", "102"  # weight of a container on the cores: Docker's default, and while it starts


def refuse_no_engine() -> None:
    """Raise `Failure` if no Docker engine of this host answers."""
    if not os.environ.get("DOCKER_HOST", "unix:").startswith("unix:"):
        raise Failure(
            "the target docker is of this host, and DOCKER_HOST is another; run this on the engine's host (docs/how-to/deploy.md)"
        )
    if (version := docker("version", "--format", "{{.Server.Version}}")).returncode:
        raise Failure(f"the Docker engine does not answer: {last(version.stderr)}")


def run(folder: Path, slot: Slot) -> None:
    """Start a slot's container, with as few rights as a service needs; the engine starts it again when it ends.

    Raise `Failure` if its image is not available, or the engine does not start it.
    """
    missing = docker("image", "inspect", slot.image).returncode
    if missing and (pulled := docker("pull", "--quiet", slot.image)).returncode:
        raise Failure(f"the image {slot.image} of version {slot.version} is not available: {last(pulled.stderr)}")
    name = name_of(folder, slot.name)
    words = [
        "--detach",
        "--name",
        name,
        "--restart",
        "unless-stopped",
        "--network",
        "host",
        "--volume",
        f"{name}-log:/log",
    ]
    words += ["--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]  # noqa: S108
    words += ["--cpu-shares", FEW_SHARES]
    shown = {"LOG": "/log", "HOST": "127.0.0.1", "PORT": slot.port, "VERSION": slot.version, "DRAIN": 0}
    words += [word for key, value in shown.items() for word in ("--env", f"SERVE_{key}={value}")]
    secret = {key: value for key, value in tokens.read(folder).environment().items() if key == "SERVE_TOKENS"}
    words += [word for key in secret for word in ("--env", key)]  # without the value: `ps` shows a command's words
    if (started := docker("run", *words, slot.image, more=secret)).returncode:
        raise Failure(f"version {slot.version} could not be started: {last(started.stderr)}")


def raise_share(folder: Path, slot: Slot) -> None:
    """Give a container that is ready the share of the cores of one that serves. Raise `Failure` if it is refused."""
    if (updated := docker("update", "--cpu-shares", SHARES, name_of(folder, slot.name))).returncode:
        raise Failure(f"version {slot.version} cannot be given its share of the cores: {last(updated.stderr)}")


def running(folder: Path, name: str) -> bool:
    """Return whether a slot's container is running."""
    inspected = docker("inspect", name_of(folder, name))
    return inspected.returncode == 0 and bool(json.loads(inspected.stdout)[0]["State"]["Running"])


def logs(folder: Path, name: str) -> str:
    """Return the newest lines that a slot's container printed."""
    printed = docker("logs", "--tail", "50", name_of(folder, name))
    return printed.stdout + printed.stderr


def remove(folder: Path, name: str, seconds: float) -> None:
    """End a slot's container within `seconds` or by force, and remove it; its log's volume stays.

    Raise `Failure` unless the engine confirms that it is gone.
    """
    docker("stop", "--time", str(round(seconds)), name_of(folder, name))
    if (gone := docker("rm", "--force", name_of(folder, name))).returncode:
        raise Failure(last(gone.stderr))


def name_of(folder: Path, name: str) -> str:
    """Return the name of a slot's container; the folder distinguishes the `staging` of two repositories."""
    return f"delivery-{folder.name}-{hashlib.sha256(str(folder).encode()).hexdigest()[:8]}-{name}"


def docker(*words: str, more: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run docker, with `more` environment variables, and return its output and exit code."""
    variables = os.environ | (more or {})
    return subprocess.run(["docker", *words], capture_output=True, text=True, check=False, env=variables)


def last(text: str) -> str:
    """Return the last line that a command printed."""
    return (text.strip().splitlines() or ["it printed nothing"])[-1]
