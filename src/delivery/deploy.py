"""Verb `deploy`: a version to an environment, checked while it runs and before anything points to it.

In this first form the target is this machine: the runner's Docker engine where there is one and the version
has an image, else a process. It is checked, loaded and stopped: a rehearsal, after which the alias moves.
"""

import argparse
import os
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from delivery import environment, files, github, registry, rehearse
from delivery.errors import Failure

READY = 60  # seconds that a container may take to start
TICK = 0.05


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("version", help="a number or an alias of the registry")
    parser.add_argument("environment", help="that is to serve it, such as production")


def main(options: argparse.Namespace) -> None:
    client = registry.connect()
    version = registry.find(client, options.version)
    number = str(version.version)
    with github.deployment(options.environment, version.tags["git.commit"], f"version {number}"):
        folder = registry.download(client, version, files.CACHE / "versions" / number)
        rehearse.run(folder / "export", number, version.tags.get("image.digest", ""))
        environment.point(options.environment, lambda: number)
    said = f"Version {number} is `{options.environment}`. {environment.REHEARSAL.format(options.environment)}"
    github.summary(said)
    print(said)


@contextmanager
def container(image: str, version: str = "") -> Iterator[str]:
    """The address of a container of this machine's engine, with as little right as it needs; removed at the end."""
    port = free_port()
    name = f"delivery-{os.getpid()}-{port}"
    command = ["docker", "run", "--rm", "--name", name, "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL"]  # noqa: S108
    # The host's network, on loopback alone: it works where the engine has no bridge, too.
    command += ["--network", "host", "--env", "SERVE_HOST=127.0.0.1", "--env", f"SERVE_PORT={port}"]
    command += ["--env", "SERVE_OPEN=1", "--env", f"SERVE_VERSION={version}", image]
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


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def _ready(command: list[str], port: int) -> Iterator[str]:
    """Raises Failure with the service's last word when it does not become ready."""
    url = f"http://127.0.0.1:{port}"
    log = files.CACHE / f"service-{port}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as said, subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT) as running:
        try:
            deadline = time.monotonic() + READY
            while not _answers(url):
                if running.poll() is not None or time.monotonic() > deadline:
                    lines = log.read_text().strip().splitlines() or ["it said nothing"]
                    cause = next((line for line in lines if "rror" in line), lines[-1])
                    raise Failure(f"the service did not become ready: {cause}")
                time.sleep(TICK)
            yield url
        finally:
            running.terminate()
            running.wait()
            log.unlink(missing_ok=True)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health/ready", timeout=2):  # noqa: S310  our own address
            return True
    except OSError:
        return False
