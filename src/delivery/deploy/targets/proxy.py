"""HAProxy in front of the two slots: what it is told at run time, its file says as well, so that a reload changes nothing."""

import csv
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from delivery.core import files
from delivery.core.errors import Failure
from delivery.deploy.targets import slots

SLOTS = ("blue", "green")
START = 10  # seconds
CONFIG = """# Written by `delivery`; changes made here are lost at the next deployment.
global
    stats socket unix@admin.sock mode 600 level admin expose-fd listeners
    hard-stop-after 60s
defaults
    mode http
    timeout connect 2s
    timeout client 60s
    timeout server 60s
    # Patience for a service on a busy machine: it is slow then, not gone. A process that is gone refuses at once.
    timeout check 5s
    # A server that has gone is found out by a request: that one goes to the other slot, and nobody sees it.
    retries 3
    option redispatch 1
    retry-on conn-failure empty-response
    option http-buffer-request
frontend public
    bind 127.0.0.1:{port}
    option idle-close-on-response
    default_backend slots
backend slots
    # By lot. In turns, HAProxy may pass a server over for hundreds of requests after a change of weights.
    balance random(1)
    option httpchk GET /health/ready
    default-server check inter 500ms fall 2 rise 1
{servers}
"""
Weights = Mapping[str, tuple[int, int]]  # slot to its port and weight; what is not named gets nothing


def config(port: int, weights: Weights) -> str:
    servers = [
        "    server {} 127.0.0.1:{} weight {}".format(name, *weights[name])
        if name in weights
        else f"    server {name} 127.0.0.1:1 weight 0 disabled"
        for name in SLOTS
    ]
    return CONFIG.format(port=port, servers="\n".join(servers))


def apply(folder: Path, port: int, weights: Weights, image: str = "") -> None:
    """Shares of the requests, from now on. Starts the proxy where it does not run. Raises Failure when it cannot."""
    if not running(folder):
        files.write(folder / "haproxy.cfg", config(port, weights))
        _start(folder, port, image)
        return
    # The most first and nothing last, so that there is always one that answers.
    for name, (own, weight) in sorted(weights.items(), key=lambda item: -item[1][1]):
        tell(folder, f"set server slots/{name} addr 127.0.0.1 port {own}")
        tell(folder, f"set server slots/{name} weight {weight}")
        tell(folder, f"set server slots/{name} state ready")  # only now: it may still have the weight of another day
    for name in SLOTS:
        if name not in weights:
            tell(folder, f"set server slots/{name} state maint")
    files.write(folder / "haproxy.cfg", config(port, weights))


def running(folder: Path) -> bool:
    try:
        return bool(tell(folder, "show info"))
    except Failure:
        return False


def _start(folder: Path, port: int, image: str) -> None:
    stop(folder)
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise Failure(f"the proxy cannot have port {port} ({error.strerror}); set another in params.yaml") from None
    command = ["haproxy", "-W", "-f", str(folder / "haproxy.cfg")]
    if image:
        mount = ["--volume", f"{folder}:{folder}", "--workdir", str(folder), "--user", f"{os.getuid()}:{os.getgid()}"]
        command = ["docker", "run", "--rm", "--network", "host", "--name", _name(folder), *mount, image, *command]
    elif not shutil.which("haproxy"):
        raise Failure("haproxy is missing; install it (Debian: apt-get install haproxy), or set proxy_image")
    with (folder / "proxy.log").open("w") as said:
        started = subprocess.Popen(
            command, cwd=folder, stdout=said, stderr=said, env=slots.staying(), start_new_session=True
        )
    deadline = time.monotonic() + START
    while not running(folder):
        if started.poll() is not None or time.monotonic() > deadline:
            lines = (folder / "proxy.log").read_text().strip().splitlines() or ["it said nothing"]
            stop(folder)
            telling = (line for line in lines if "ALERT" in line or "rror" in line)  # HAProxy's words, or the engine's
            raise Failure(f"the proxy did not start: {next(telling, lines[-1])}")
        time.sleep(slots.TICK)


def stop(folder: Path) -> None:
    if contained(folder):
        subprocess.run(["docker", "rm", "--force", _name(folder)], capture_output=True, check=False)
    slots.end(str(folder / "haproxy.cfg"))
    (folder / "admin.sock").unlink(missing_ok=True)


def contained(folder: Path) -> bool:
    """Whether it runs as a container."""
    if not shutil.which("docker"):
        return False
    done = subprocess.run(["docker", "inspect", _name(folder)], capture_output=True, check=False)
    return done.returncode == 0


def _name(folder: Path) -> str:
    return slots.container(folder, "proxy")


def tell(folder: Path, command: str) -> str:
    """The answer to a command of HAProxy's management guide. Raises Failure when it refuses or does not answer."""
    place = os.open(folder, os.O_PATH) if folder.is_dir() else -1
    try:
        with socket.socket(socket.AF_UNIX) as asked:
            asked.settimeout(5)
            asked.connect(f"/proc/self/fd/{place}/admin.sock")  # the path itself may be longer than 107 letters
            asked.sendall(command.encode() + b"\n")
            answer = b"".join(iter(lambda: asked.recv(65536), b"")).decode().strip()
    except OSError as error:
        raise Failure(f"the proxy of {folder.name} does not answer ({error.strerror or error})") from None
    finally:
        if place >= 0:
            os.close(place)
    if command.startswith("set ") and answer and "no need to change" not in answer:
        raise Failure(f"the proxy refused `{command}`: {answer}")
    return answer


def counters(folder: Path) -> dict[str, dict[str, str]]:
    """A row of `show stat` for each slot."""
    lines = tell(folder, "show stat").removeprefix("# ").splitlines()
    return {row["svname"]: row for row in csv.DictReader(lines) if row["svname"] in SLOTS}


def drained(folder: Path, name: str, seconds: float) -> bool:
    """Waits until a slot has no request under way; False when it still has some by then."""
    deadline = time.monotonic() + seconds
    while int(counters(folder)[name]["scur"] or 0):
        if time.monotonic() > deadline:
            return False
        time.sleep(slots.TICK)
    return True
