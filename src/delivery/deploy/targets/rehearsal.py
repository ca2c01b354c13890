"""Run a version's image as a service on this machine, for as long as it is needed."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from delivery.core import waiting, workspace
from delivery.core.errors import Failure
from delivery.deploy.targets import loopback, slots

READY = 60  # seconds that a container may take to start
TICK = 0.05


@contextmanager
def container(image: str, version: str = "") -> Iterator[str]:
    """Yield the address of a container, started with the least privileges; it is removed at the end."""
    port = loopback.free_port()
    name = f"delivery-{os.getpid()}-{port}"
    command = ["docker", "run", "--rm", "--name", name, "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL"]  # noqa: S108
    # The host's network, on loopback only: it works without a bridge, too.
    command += ["--network", "host", "--env", "SERVE_HOST=127.0.0.1", "--env", f"SERVE_PORT={port}"]
    command += ["--env", "SERVE_TOKENS" if os.environ.get("SERVE_TOKENS") else "SERVE_OPEN=1"]
    command += ["--env", f"SERVE_VERSION={version}", image]
    try:
        with _ready(command, port) as url:
            yield url
    finally:
        subprocess.run(["docker", "rm", "--force", name], capture_output=True, check=False)


def engine() -> bool:
    """Return whether a Docker engine answers."""
    return (
        bool(shutil.which("docker"))
        and not subprocess.run(["docker", "info"], capture_output=True, check=False).returncode
    )


@contextmanager
def _ready(command: list[str], port: int) -> Iterator[str]:
    """Yield the address of the service once it is ready. Raise `Failure` with its error line if it is not in time."""
    url = f"http://127.0.0.1:{port}"
    log = workspace.CACHE / f"service-{port}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as output, subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT) as running:
        try:
            waiting.until(lambda: loopback.ready(url) or running.poll() is not None, READY, TICK)
            if not loopback.ready(url):
                raise Failure(f"the service did not become ready: {slots.error_line(log.read_text())}")
            yield url
        finally:
            running.terminate()
            running.wait()
            log.unlink(missing_ok=True)
