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
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

from sample import change

from delivery import __main__ as command
from delivery.deploy.targets import proxy, slots, state
from delivery.registry import registry

CLIENTS = 3
PACE = 0.02  # seconds between two requests of a client
NAME = "staging"


class Site:
    """`folder` is the project, `home` where the environment's slots and proxy live."""

    def __init__(self, folder: Path, home: Path):
        self.folder, self.home = folder, home / NAME
        self.port = slots.free_port()
        self.place = {"target": "process", "port": self.port, "folder": str(home)}
        change(folder, {"deploy.environments": {NAME: self.place}})
        self.rows = [e["request"] for e in json.loads((folder / "models/1/export/examples.json").read_text())]

    def run(self, *words: str) -> int:
        return command.main(list(words))

    def deploy(self, version: str, *words: str) -> int:
        return self.run("deploy", version, NAME, *words)

    def rollback(self, *words: str) -> int:
        return self.run("rollback", NAME, *words)

    def fault(self, version: str, **what: object) -> None:
        os.environ["FAULTS"] = json.dumps({version: what})

    def canary(self, **values: object) -> None:
        usual = {"steps": [50], "requests": 60, "seconds": 20, "max_error_rate": 0.001, "max_slower": 1.5}
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

    def reload(self) -> None:
        """HAProxy reads its file again, as an operator has it do; what the old worker has under way is finished."""
        file = str(self.home / "haproxy.cfg")
        before = slots.having(file)
        (master,) = (pid for pid in before if _parent(pid) not in before)
        (worker,) = set(before) - {master}
        os.kill(master, signal.SIGUSR2)
        wait_for(lambda: worker not in slots.having(file) and proxy.running(self.home))

    # What is seen

    def serving(self) -> str:
        """The version that answers."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/version", timeout=10) as reply:
            return json.loads(reply.read())["version"]

    def alias(self) -> str:
        found = registry.versions(registry.connect())
        return next((str(version.version) for version in found if NAME in version.aliases), "")

    def processes(self) -> dict[str, int]:
        """How many there are of each kind, by the folder that they were started for."""
        kinds = {name: len(slots.having(str(slots.model(self.home, name)))) for name in proxy.SLOTS}
        return kinds | {"proxy": len(slots.having(str(self.home / "haproxy.cfg")))}

    def settled(self, version: str) -> None:
        """The version serves, the alias is on it, and nothing else is left."""
        assert self.serving() == version
        assert self.alias() == version
        found, now = self.processes(), state.read(self.home)
        slots_running = 2 if now.warm else 1
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
    def load(self) -> Iterator[Counter]:
        """Clients that keep asking; how often each version, and each failure, was the answer."""
        seen: Counter = Counter()
        stop = threading.Event()
        threads = [threading.Thread(target=self._ask, args=(seen, stop)) for _ in range(CLIENTS)]
        for thread in threads:
            thread.start()
        try:
            wait_for(lambda: sum(seen.values()) > CLIENTS)
            yield seen
        finally:
            stop.set()
            for thread in threads:
                thread.join()

    def _ask(self, seen: Counter, stop: threading.Event) -> None:
        bodies = [json.dumps(row).encode() for row in self.rows]
        connection = HTTPConnection("127.0.0.1", self.port, timeout=20)
        for turn in range(1_000_000):
            try:
                headers = {"content-type": "application/json", "x-live": "1"}
                connection.request("POST", "/predict", bodies[turn % len(bodies)], headers)
                reply = connection.getresponse()
                reply.read()
                seen[reply.headers.get("x-model-version", "none") if reply.status == 200 else str(reply.status)] += 1
            except OSError as error:
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


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def asked(port: int, rows: list[dict], stop: threading.Event) -> None:
    """Asks a service until it is told to stop."""
    connection = HTTPConnection("127.0.0.1", port, timeout=20)
    for row in itertools.cycle(rows):
        connection.request("POST", "/predict", json.dumps(row), {"content-type": "application/json"})
        connection.getresponse().read()
        if stop.wait(PACE / CLIENTS):
            break
    connection.close()


def wait_for(what: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def failures(seen: Counter) -> dict[str, int]:
    return {what: count for what, count in seen.items() if what not in ("1", "2", "3")}


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
