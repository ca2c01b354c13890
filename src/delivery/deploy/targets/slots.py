"""A slot: one version as a process or a container of its own, which outlives the command that started it.

It is found again by its name, a container's or the folder among a process's arguments: no number is written down
that might be somebody else's tomorrow.
"""

import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

from delivery.core import files
from delivery.core.errors import Failure
from delivery.deploy.targets import priority
from delivery.deploy.targets.state import Slot

TICK = 0.02
STOP = 15  # seconds from SIGTERM to SIGKILL
SHARES, FEW_SHARES = "1024", "102"  # of the cores, for a container: the usual, and while it starts


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def url(slot: Slot) -> str:
    return f"http://127.0.0.1:{slot.port}"


def model(folder: Path, name: str) -> Path:
    return folder / name / "model"


def start(folder: Path, slot: Slot, exported: Path, seconds: float) -> None:
    """Runs it until it is ready. Raises Failure with its last word when it is not by then."""
    with files.replacing(model(folder, slot.name)) as scratch:
        shutil.copytree(exported, scratch)
    (_run if slot.image else _spawn)(folder, slot)
    deadline = time.monotonic() + seconds
    while not ready(slot):
        if not alive(folder, slot) or time.monotonic() > deadline:
            raise Failure(f"version {slot.version} did not become ready: {last_word(folder, slot)}")
        time.sleep(TICK)
    _of_full_rank(folder, slot)


def _spawn(folder: Path, slot: Slot) -> None:
    words = ["serve", "--model", str(model(folder, slot.name)), "--port", str(slot.port), "--version", slot.version]
    words += ["--log", str(folder / "predictions" / slot.name), "--drain", "0"]
    with (folder / f"{slot.name}.log").open("w") as said:
        command = [sys.executable, "-m", "delivery", *words]
        started = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, env=staying(), start_new_session=True
        )
    priority.nice(started.pid, priority.LOW)
    while started.poll() is None and not having(str(model(folder, slot.name))):
        time.sleep(TICK)  # the kernel shows the arguments of a new program a moment after it has begun


def _of_full_rank(folder: Path, slot: Slot) -> None:
    """While it started it gave way to what serves."""
    if slot.image and (told := docker("update", "--cpu-shares", SHARES, container(folder, slot.name))).returncode:
        raise Failure(f"version {slot.version} cannot be given its share of the cores: {_last(told.stderr)}")
    for pid in having(str(model(folder, slot.name))):
        priority.nice(pid, priority.USUAL)


def staying() -> dict[str, str]:
    """An environment in which a GitHub runner does not take a process for a left-over of the job that started it."""
    return os.environ | {"RUNNER_TRACKING_ID": ""}


def refuse_no_engine() -> None:
    if not os.environ.get("DOCKER_HOST", "unix:").startswith("unix:"):
        raise Failure(
            "the target docker is of this host, and DOCKER_HOST is another; run this on the engine's host (docs/how-to/deploy.md)"
        )
    if (asked := docker("version", "--format", "{{.Server.Version}}")).returncode:
        raise Failure(f"the Docker engine does not answer: {_last(asked.stderr)}")


def _run(folder: Path, slot: Slot) -> None:
    if (
        docker("image", "inspect", slot.image).returncode
        and (pulled := docker("pull", "--quiet", slot.image)).returncode
    ):
        raise Failure(f"the image {slot.image} of version {slot.version} cannot be had: {_last(pulled.stderr)}")
    words = ["--detach", "--name", container(folder, slot.name), "--restart", "unless-stopped", "--network", "host"]
    words += ["--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]  # noqa: S108
    words += ["--cpu-shares", FEW_SHARES]
    words += ["--volume", f"{container(folder, slot.name)}-log:/log", "--env", "SERVE_LOG=/log"]
    words += [
        "--env",
        "SERVE_HOST=127.0.0.1",
        "--env",
        f"SERVE_PORT={slot.port}",
        "--env",
        f"SERVE_VERSION={slot.version}",
    ]
    words += ["--env", "SERVE_DRAIN=0", *(["--env", "SERVE_TOKENS"] if os.environ.get("SERVE_TOKENS") else [])]
    if (started := docker("run", *words, slot.image)).returncode:
        raise Failure(f"version {slot.version} could not be started: {_last(started.stderr)}")


def stop(folder: Path, name: str, *, engine: bool) -> None:
    """Ends whatever runs in a slot, and removes what belongs to it but its predictions.

    Raises Failure when the engine does not say that its container is gone.
    """
    end(str(model(folder, name)))
    if engine:
        docker("stop", "--time", str(STOP), container(folder, name))
        if (gone := docker("rm", "--force", container(folder, name))).returncode:
            raise Failure(_last(gone.stderr))
    shutil.rmtree(folder / name, ignore_errors=True)
    (folder / f"{name}.log").unlink(missing_ok=True)


def alive(folder: Path, slot: Slot) -> bool:
    if slot.image:
        found = docker("inspect", container(folder, slot.name))
        return found.returncode == 0 and json.loads(found.stdout)[0]["State"]["Running"]
    return bool(having(str(model(folder, slot.name))))


def ready(slot: Slot) -> bool:
    return answers(url(slot))


def answers(url: str) -> bool:
    """Whether a service is ready for requests."""
    try:
        with urllib.request.urlopen(f"{url}/health/ready", timeout=2):  # noqa: S310  our own address
            return True
    except OSError:
        return False


def last_word(folder: Path, slot: Slot) -> str:
    if slot.image:
        said = docker("logs", "--tail", "50", container(folder, slot.name))
        text = said.stdout + said.stderr
    else:
        text = (folder / f"{slot.name}.log").read_text()
    return telling(text)


def telling(text: str) -> str:
    """Of what a service has said the line that names an error, else the last one."""
    lines = text.strip().splitlines() or ["it said nothing"]
    return next((line for line in lines if "rror" in line), lines[-1])


def container(folder: Path, name: str) -> str:
    """Two repositories may both have a `staging`: the folder tells them apart."""
    return f"delivery-{folder.name}-{hashlib.sha256(str(folder).encode()).hexdigest()[:8]}-{name}"


def docker(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["docker", *words], capture_output=True, text=True, check=False)


def having(argument: str) -> list[int]:
    """The processes that have this among their arguments."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if argument.encode() in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
    return found


def end(argument: str) -> None:
    """SIGTERM, and SIGKILL for who is still there later."""
    for number, patience in ((signal.SIGTERM, STOP), (signal.SIGKILL, STOP)):
        for pid in having(argument):
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        deadline = time.monotonic() + patience
        while having(argument) and time.monotonic() < deadline:
            time.sleep(TICK)


def _last(text: str) -> str:
    return (text.strip().splitlines() or ["it said nothing"])[-1]
