"""A model as a service on this machine, a process or a container, for as long as it is needed."""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from delivery.core import workspace
from delivery.core.errors import Failure
from delivery.deploy.targets import slots

READY = 60  # seconds that a container may take to start
TICK = 0.05
STOP_SECONDS = 15
PR_SET_PDEATHSIG = 1  # of prctl(2)


def with_parent() -> Callable[[], object] | None:
    """What a child does first so that it ends with the thread that started it, even if that is killed.

    Left alone it would go on holding DVC's locks, or a port. Linux only.
    """
    if sys.platform != "linux":
        return None
    return partial(ctypes.CDLL(None).prctl, PR_SET_PDEATHSIG, signal.SIGKILL)


@contextmanager
def process(model: Path, version: str = "") -> Iterator[str]:
    """The address of a service that answers with `model`; it is stopped at the end, whatever happens.

    Raises Failure with the service's last line when it does not start.
    """
    command = [sys.executable, "-m", "delivery", "serve", "--model", str(model), "--port", "0", "--version", version]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=with_parent(),  # noqa: PLW1509  one call into the kernel
    ) as service:
        try:
            assert service.stdout is not None
            assert service.stderr is not None
            first = service.stdout.readline()  # the service prints its address once it listens
            if " on http://" not in first:
                last = (service.stderr.read().strip() or "it said nothing").splitlines()[-1]
                raise Failure(f"the service did not start: {last}")
            yield next(word for word in first.split() if word.startswith("http://"))
        finally:
            service.terminate()
            try:
                service.communicate(timeout=STOP_SECONDS)
            except subprocess.TimeoutExpired:
                service.kill()


@contextmanager
def container(image: str, version: str = "") -> Iterator[str]:
    """The address of a container of this machine's engine, with as little right as it needs; removed at the end."""
    port = slots.free_port()
    name = f"delivery-{os.getpid()}-{port}"
    command = ["docker", "run", "--rm", "--name", name, "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL"]  # noqa: S108
    # The host's network, on loopback alone: it works where the engine has no bridge, too.
    command += ["--network", "host", "--env", "SERVE_HOST=127.0.0.1", "--env", f"SERVE_PORT={port}"]
    command += ["--env", "SERVE_TOKENS" if os.environ.get("SERVE_TOKENS") else "SERVE_OPEN=1"]
    command += ["--env", f"SERVE_VERSION={version}", image]
    try:
        with _ready(command, port) as url:
            yield url
    finally:
        subprocess.run(["docker", "rm", "--force", name], capture_output=True, check=False)


def engine() -> bool:
    """Whether a Docker engine answers."""
    return (
        bool(shutil.which("docker"))
        and not subprocess.run(["docker", "info"], capture_output=True, check=False).returncode
    )


@contextmanager
def _ready(command: list[str], port: int) -> Iterator[str]:
    """Raises Failure with the service's last word when it does not become ready."""
    url = f"http://127.0.0.1:{port}"
    log = workspace.CACHE / f"service-{port}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as said, subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT) as running:
        try:
            deadline = time.monotonic() + READY
            while not slots.answers(url):
                if running.poll() is not None or time.monotonic() > deadline:
                    raise Failure(f"the service did not become ready: {slots.telling(log.read_text())}")
                time.sleep(TICK)
            yield url
        finally:
            running.terminate()
            running.wait()
            log.unlink(missing_ok=True)
