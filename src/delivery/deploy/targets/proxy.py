"""HAProxy in front of the two slots. Its file says what it was told at run time, so that a reload changes nothing."""

import csv
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from delivery.core import files, waiting
from delivery.core.errors import Failure
from delivery.deploy.targets import container, process, routing, supervised
from delivery.deploy.targets.routing import Routing
from delivery.registry import bundle

SLOTS = ("blue", "green")
SPARE = "-spare"  # a slot's second row in HAProxy: `backup` cannot be changed at run time, so each slot has one of both kinds
START = 30  # seconds; it ends at once with a complaint of the proxy
WORKERS = "-W"  # HAProxy's mode of a master and a worker; its supervisor does not have it among its arguments
CONFIG = """# Written by `delivery`; changes made here are lost at the next deployment.
global
    stats socket unix@admin.sock mode 600 level admin expose-fd listeners
    hard-stop-after 60s
defaults
    mode http
    timeout connect 2s
    # Until a request's headers and body have arrived; the service allows 10 s for each.
    timeout http-request 20s
    timeout http-keep-alive 60s
    timeout client 60s
    timeout server 60s
    # Patience for a service on a busy machine: it is slow then, not gone. A process that is gone refuses at once.
    timeout check 5s
    # A request finds out that a server has gone: it goes to the other slot, and the client does not notice.
    retries 3
    option redispatch 1
    retry-on conn-failure empty-response
    option http-buffer-request
frontend public
    bind 127.0.0.1:{port}
    option idle-close-on-response
{frontend}    default_backend slots
backend slots
{backend}    option httpchk GET /health/ready
    # Two refused connections are enough to know that a process is gone; the next check that succeeds brings it back.
    default-server check inter 500ms fall 2 rise 1 observe layer4 error-limit 2 on-error mark-down
{servers}
"""
FAILED = ("hrsp_5xx", "econ", "eresp", "wretr", "wredis")  # columns of HAProxy's statistics
ANSWERED = ("hrsp_1xx", "hrsp_2xx", "hrsp_3xx", "hrsp_4xx", "hrsp_5xx")
EVEN = Routing()
Weights = Mapping[str, tuple[int, int]]  # slot to its port and weight; a slot that is not named gets no traffic


def config(port: int, weights: Weights, spare: str = "", how: Routing = EVEN) -> str:
    """Return HAProxy's configuration; the slot `spare` answers while no other does, `how` picks one for a request."""
    servers = [
        "    server {} 127.0.0.1:{} weight {}".format(name, *weights[name])
        if name in weights
        else f"    server {name} 127.0.0.1:1 weight 0 disabled"
        for name in SLOTS
    ]
    servers += [
        f"    server {name}{SPARE} 127.0.0.1:{weights[name][0]} backup"
        if name == spare
        else f"    server {name}{SPARE} 127.0.0.1:1 backup disabled"
        for name in SLOTS
    ]
    front, back = (
        "".join(f"{line}\n" for line in part) for part in (routing.frontend(how), routing.backend(how, SLOTS))
    )
    return CONFIG.format(port=port, frontend=front, backend=back, servers="\n".join(servers))


def apply(folder: Path, port: int, weights: Weights, image: str = "", spare: str = "", how: Routing = EVEN) -> None:
    """Distribute traffic by these weights; start the proxy if it does not run. Raise `Failure` if it does not take them.

    The slot `spare` answers while none with a weight does: at once when the process of that one has gone. `how` picks a slot
    for a request.
    """
    text = config(port, weights, spare, how)
    if not running(folder):
        routing.written(folder, how)
        files.write(folder / "haproxy.cfg", text)
        if not _reached_again(folder):
            _start(folder, port, image)
        return
    if _older(folder, text):
        routing.written(folder, how)
        files.write(folder / "haproxy.cfg", text)
        reload(folder)
        return
    if chosen := routing.written(folder, how):
        tell(folder, f"clear map {routing.MAP}")
    if spare:
        tell(folder, f"set server slots/{spare}{SPARE} addr 127.0.0.1 port {weights[spare][0]}")
        tell(folder, f"set server slots/{spare}{SPARE} state ready")
    # The largest weight first and zero last, so that there is always one that answers.
    for name, (own, weight) in sorted(weights.items(), key=lambda item: -item[1][1]):
        tell(folder, f"set server slots/{name} addr 127.0.0.1 port {own}")
        tell(folder, f"set server slots/{name} weight {weight}")
        tell(folder, f"set server slots/{name} state ready")  # only now: it may still have an old weight
    for name in SLOTS:
        if name not in weights:
            tell(folder, f"set server slots/{name} state maint")
        if name != spare:
            tell(folder, f"set server slots/{name}{SPARE} state maint")
    if chosen:
        for version, name in how.versions.items():
            tell(folder, f"add map {routing.MAP} {version} {name}")
    files.write(folder / "haproxy.cfg", text)


def _older(folder: Path, text: str) -> bool:
    """Return whether the proxy has to read its file again: it has no second row for a slot, or picks slots in another way."""
    if f",{SLOTS[0]}{SPARE}," not in tell(folder, "show stat"):
        return True
    try:
        return not routing.same((folder / "haproxy.cfg").read_text(), text)
    except FileNotFoundError:
        return True


def running(folder: Path) -> bool:
    """Return whether the proxy answers on its socket."""
    try:
        return bool(tell(folder, "show info"))
    except Failure:
        return False


def reload(folder: Path) -> None:
    """Have the proxy read its file again, without a lost request. Raise `Failure` if it has not."""
    before = process.having(str(folder / "haproxy.cfg"), WORKERS)
    masters = [pid for pid in before if process.parent(pid) not in before]
    workers = set(before) - set(masters)
    for _ in range(START):  # a master that has only just begun misses the signal
        for master in masters:
            with suppress(ProcessLookupError):
                os.kill(master, signal.SIGUSR2)
        if waiting.until(lambda: running(folder) and _worker(folder) not in workers, 1, process.TICK):
            return
    raise Failure(f"the proxy of {folder.name} was told to read its file again and has not done so in {START} s")


def _reached_again(folder: Path) -> bool:
    """Have a proxy that still serves and has lost its socket make a new one; return whether it answers there.

    At a reload it keeps a socket whose name is the same, though its file is gone; so the name is written in another way.
    """
    file = folder / "haproxy.cfg"
    text = file.read_text()
    for name in ("./admin.sock", "admin.sock"):
        if not process.having(str(file), WORKERS):
            break
        files.write(file, text.replace(" unix@admin.sock ", f" unix@{name} "))
        with suppress(Failure):
            reload(folder)
            break
    files.write(file, text)
    return running(folder)


def _worker(folder: Path) -> int:
    """Return the id of the process that answers on the proxy's socket."""
    lines = (line.partition(": ") for line in tell(folder, "show info").splitlines())
    return next((int(value) for key, _, value in lines if key == "Pid"), 0)


def _start(folder: Path, port: int, image: str) -> None:
    stop(folder)
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise Failure(
                f"port {port} of the proxy is not free ({error.strerror}); set another in params.yaml"
            ) from None
    command = ["haproxy", WORKERS, "-f", str(folder / "haproxy.cfg")]
    if image:
        mount = ["--volume", f"{folder}:{folder}", "--workdir", str(folder), "--user", f"{os.getuid()}:{os.getgid()}"]
        command = ["docker", "run", "--rm", "--network", "host", "--name", _name(folder), *mount, image, *command]
    elif not shutil.which("haproxy"):
        raise Failure("haproxy is missing; install it (Debian: apt-get install haproxy), or set proxy_image")
    supervisor = supervised.command(folder, "proxy", folder / "haproxy.cfg", command)
    process.start(supervisor, folder, bundle.inherited())
    waiting.until(lambda: running(folder) or _complaint(folder), START, process.TICK)
    if not running(folder):
        why = _complaint(folder) or container.last(_printed(folder))
        stop(folder)
        raise Failure(f"the proxy did not start: {why}")


def _printed(folder: Path) -> str:
    log = folder / "proxy.log"
    return log.read_text() if log.exists() else ""


def _complaint(folder: Path) -> str:
    """Return the line in which the proxy says why it does not start, in HAProxy's words or the engine's; empty if there is none."""
    return next((line for line in _printed(folder).splitlines() if "ALERT" in line or "rror" in line), "")


def stop(folder: Path) -> None:
    """Stop the proxy, be it a container or a process; do nothing if it does not run."""
    held = contained(folder)
    process.end(str(folder / "haproxy.cfg"))  # its supervisor first, which would start a container again
    if held:
        container.docker("rm", "--force", _name(folder))
    for file in ("admin.sock", "proxy.conf", "proxy.pid", "proxy.log"):
        (folder / file).unlink(missing_ok=True)


def contained(folder: Path) -> bool:
    """Return whether the proxy runs as a container."""
    if not shutil.which("docker"):
        return False
    done = subprocess.run(["docker", "inspect", _name(folder)], capture_output=True, check=False)
    return done.returncode == 0


def _name(folder: Path) -> str:
    return container.name_of(folder, "proxy")


def tell(folder: Path, command: str) -> str:
    """Return the answer to a command of HAProxy's management guide. Raise `Failure` if it refuses or does not answer."""
    descriptor = os.open(folder, os.O_PATH) if folder.is_dir() else -1
    try:
        with socket.socket(socket.AF_UNIX) as admin:
            admin.settimeout(5)
            admin.connect(f"/proc/self/fd/{descriptor}/admin.sock")  # the path itself may be longer than 107 characters
            admin.sendall(command.encode() + b"\n")
            answer = b"".join(iter(lambda: admin.recv(65536), b"")).decode().strip()
    except OSError as error:
        raise Failure(f"the proxy of {folder.name} does not answer ({error.strerror or error})") from None
    finally:
        if descriptor >= 0:
            os.close(descriptor)
    if command.startswith(("set ", "add ", "clear ")) and answer and "no need to change" not in answer:
        raise Failure(f"the proxy refused `{command}`: {answer}")
    return answer


def counters(folder: Path) -> dict[str, dict[str, str]]:
    """Return the rows of `show stat` of the slots, by the server's name."""
    lines = tell(folder, "show stat").removeprefix("# ").splitlines()
    return {row["svname"]: row for row in csv.DictReader(lines) if row["svname"].removesuffix(SPARE) in SLOTS}


def counted(folder: Path, name: str, *columns: str) -> int:
    """Return the sum of columns of the statistics over both rows of a slot."""
    rows = [row for server, row in counters(folder).items() if server.removesuffix(SPARE) == name]
    return sum(int(row[column] or 0) for row in rows for column in columns)


def requests(folder: Path, name: str) -> tuple[int, int]:
    """Return how many requests a slot got, and how many of them failed: status 500 and more, refused or lost."""
    answered, failed, errors = (counted(folder, name, *columns) for columns in (ANSWERED, FAILED, ("hrsp_5xx",)))
    return answered + failed - errors, failed


def drained(folder: Path, name: str, seconds: float) -> bool:
    """Wait until a slot has no request left, for so long at most; return whether it has none."""
    return waiting.until(lambda: not counted(folder, name, "scur"), seconds, process.TICK)
