"""What the tests do to an environment of this machine, and what its clients and its operator see of it."""

import itertools
import json
import os
import signal
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from sample import change

from delivery import __main__ as command
from delivery.deploy.targets import loopback, process, proxy, slots, state
from delivery.registry import registry

CLIENTS = 3
PACE = 0.02  # seconds between two requests of a client
# Of a canary that passes: of two versions that are equal, a busy machine makes either one slower for a moment.
EQUAL = {"slower_ms": 10_000.0, "score_psi": 9.0}
NAME = "staging"


class Site:
    """`folder` is the project, `home` where the environment's slots and proxy live."""

    def __init__(self, folder: Path, home: Path, name: str = NAME, **place: object):
        self.folder, self.home, self.name = folder, home / name, name
        self.port = loopback.free_port()
        self.place: dict[str, object] = {"target": "process", "port": self.port, "folder": str(home)} | place
        change(folder, {"deploy.environments": {name: self.place}})
        self.rows = [e["request"] for e in json.loads((folder / "models/1/export/examples.json").read_text())]

    def run(self, *words: str) -> int:
        return command.main(list(words))

    def deploy(self, version: str, *words: str) -> int:
        return self.run("deploy", version, self.name, *words)

    def rollback(self, *words: str) -> int:
        return self.run("rollback", self.name, *words)

    def fault(self, version: str, **what: object) -> None:
        os.environ["FAULTS"] = json.dumps({version: what})

    def canary(self, **values: object) -> None:
        usual = {"steps": [50], "requests": 60, "seconds": 120, "max_error_rate": 0.001, "max_slower": 1.5}
        change(self.folder, {"deploy.canary": usual | {"slower_ms": 8.0, "score_psi": 1.0} | values})

    def killed(self, at: Callable[[], None], *words: str) -> bool:
        """Runs a verb in a process that `at` arms; whether it was killed."""
        pid = os.fork()
        if pid == 0:
            code = 70
            try:
                at()
                code = command.main(list(words))
            finally:
                os._exit(code)
        return os.WIFSIGNALED(os.waitpid(pid, 0)[1])

    def begun(self, *words: str) -> int:
        """Runs a verb in a process of its own; its id."""
        pid = os.fork()
        if pid == 0:
            code: object = 70
            signal.signal(signal.SIGHUP, signal.SIG_DFL)  # which is ignored where the tests run under nohup,
            signal.signal(signal.SIGINT, signal.default_int_handler)  # and this in the background of a shell
            try:
                code = command.main(list(words))
            except SystemExit as end:
                code = end.code
            finally:
                os._exit(code if isinstance(code, int) else 70)
        return pid

    def reload(self) -> None:
        """HAProxy reads its file again, as an operator has it do; what the old worker has under way is finished."""
        proxy.reload(self.home)

    # What is seen

    def serving(self) -> str:
        """The version that answers."""
        return json.loads(self._get("/version"))["version"]

    def serving_version(self, token: str) -> str:
        """The version that answers somebody with a token."""
        return json.loads(self._get("/version", authorization=f"Bearer {token}"))["version"]

    def described(self) -> tuple[str, int]:
        """The title and the largest number of rows that the service describes itself with."""
        document = json.loads(self._get("/openapi.json"))
        _, rows = document["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]["schema"]["anyOf"]
        return document["info"]["title"], rows["maxItems"]

    def _get(self, path: str, **headers: str) -> bytes:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=10) as reply:
                return reply.read()
        except urllib.error.HTTPError as error:
            error.close()  # it holds the connection for as long as anybody holds the error
            raise

    def alias(self) -> str:
        found = registry.versions()
        return next((version.number for version in found if self.name in version.aliases), "")

    def processes(self) -> dict[str, int]:
        """How many there are of each kind, by the folder that they were started for."""
        kinds = {name: len(slots.services(self.home, name)) for name in proxy.SLOTS}
        return kinds | {"proxy": len(process.having(str(self.home / "haproxy.cfg"), proxy.WORKERS))}

    def kill(self, version: str) -> int:
        """The process of a version is killed, and nobody is told; its id."""
        now = state.read(self.home)
        (slot,) = (slot for slot in (now.serving, now.warm) if slot and slot.version == version)
        (pid,) = slots.services(self.home, slot.name)
        os.kill(pid, signal.SIGKILL)
        return pid

    def settled(self, version: str) -> None:
        """The version serves, the alias is on it, and nothing else is left."""
        assert self.serving() == version
        assert self.alias() == version
        now = state.read(self.home)
        slots_running = 2 if now.warm else 1
        wait_for(lambda: self.processes()["proxy"] <= 2)  # a worker before a reload finishes what it has under way
        found = self.processes()
        assert found["blue"] + found["green"] == slots_running
        assert found["proxy"] == 2  # master and worker
        assert now.candidate is None
        folders = [path.name for path in self.home.iterdir() if path.is_dir() and path.name in proxy.SLOTS]
        assert len(folders) == slots_running
        assert not [path.name for path in self.home.iterdir() if path.name.endswith(".scratch")]

    def nothing(self) -> None:
        """As before the first deployment."""
        assert self.alias() == ""
        assert self.processes() == {"blue": 0, "green": 0, "proxy": 0}
        assert state.read(self.home) == state.State()
        assert not [path for path in self.home.iterdir() if path.is_dir() and path.name in proxy.SLOTS]

    @contextmanager
    def load(self, clients: int = CLIENTS, **fields: object) -> Iterator[Counter]:
        """Clients that keep asking, with `fields` in each row; how often each version, and each failure, was the answer."""
        seen: Counter = Counter()
        stop = threading.Event()
        threads = [threading.Thread(target=self._ask, args=(seen, stop, fields)) for _ in range(clients)]
        for thread in threads:
            thread.start()
        try:
            wait_for(lambda: sum(seen.values()) > clients)
            yield seen
        finally:
            stop.set()
            for thread in threads:
                thread.join()

    def _ask(self, seen: Counter, stop: threading.Event, fields: dict[str, object]) -> None:
        bodies = [json.dumps(row | fields).encode() for row in self.rows]
        connection = HTTPConnection("127.0.0.1", self.port, timeout=20)
        for turn in range(1_000_000):
            try:
                headers = {"content-type": "application/json", "x-live": "1"}
                connection.request("POST", "/predict", bodies[turn % len(bodies)], headers)
                reply = connection.getresponse()
                reply.read()
                seen[reply.headers.get("x-model-version", "none") if reply.status == 200 else str(reply.status)] += 1
            except (OSError, HTTPException) as error:  # HTTPException: the answer broke off
                seen[f"failed: {type(error).__name__}"] += 1
                connection.close()
            if stop.wait(PACE):
                break
        connection.close()

    def stop(self) -> None:
        """Whatever a test has left."""
        proxy.stop(self.home)
        for name in proxy.SLOTS:
            slots.stop(self.home, name, engine=False)


def asked(port: int, rows: list[dict], stop: threading.Event) -> None:
    """Asks a service until it is told to stop."""
    connection = HTTPConnection("127.0.0.1", port, timeout=20)
    for row in itertools.cycle(rows):
        connection.request("POST", "/predict", json.dumps(row), {"content-type": "application/json"})
        connection.getresponse().read()
        if stop.wait(PACE / CLIENTS):
            break
    connection.close()


def wait_for(what: Callable[[], object], seconds: float = 60) -> None:
    """Wait for what comes; the limit is for what never does, on however busy a machine."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def kill(*marks: str) -> None:
    """As a reboot does it, or the kernel that runs out of memory: all at once, so that no supervisor starts anything again."""
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in {pid for mark in marks for pid in process.having(mark)}:
            with suppress(ProcessLookupError):  # a worker ends with its master
                os.kill(pid, number)
    wait_for(lambda: not any(process.having(mark) for mark in marks))


def failures(seen: Counter) -> dict[str, int]:
    now = list(seen.items())  # at once: clients may add to it meanwhile
    return {what: count for what, count in now if not (what.isdigit() and len(what) == 1)}


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def after(module: object, name: str) -> Callable[[], None]:
    """Dies once a function has done its work."""
    real = getattr(module, name)

    def arm() -> None:
        def dying(*words, **more):
            real(*words, **more)
            die()

        setattr(module, name, dying)

    return arm
