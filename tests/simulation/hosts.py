"""The services of environments on hosts, their proxies and their clients: objects that keep on when a job ends."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from delivery.core import files
from delivery.core.errors import Failure
from delivery.deploy.targets.counts import Counts
from delivery.deploy.targets.state import Slot

RATE = 20.0  # requests a second to each environment
SECONDS, BOUNDS = 0.001, np.array([0.005, np.inf])  # of a prediction
# One of so many models keeps its contract, and answers this share of what clients ask with 500.
ONE_OF, FAILING = 8, 0.2


def fails(version_files: Path) -> bool:
    """Whether a model fails what clients ask: by the number in params.yaml that decides all about it."""
    model = (version_files / "export" / "model.onnx").read_text()
    return int(float(model.split(" ")[0].partition("/")[0])) % ONE_OF == ONE_OF - 3


@dataclass
class Hosts:
    """What runs on all hosts: services by folder and slot, and the weights of each proxy.

    Clients ask each environment at `rate`, and the proxy divides that by its weights; `moment` is the clock, in seconds.
    """

    moment: Callable[[], float]
    rate: float = RATE

    services: dict[tuple[Path, str], Slot] = field(default_factory=dict)
    proxies: dict[Path, dict[str, int]] = field(default_factory=dict)
    port: int = 20000
    asked: Counter[tuple[Path, str]] = field(default_factory=Counter)  # requests to each slot since it was started
    failing: set[str] = field(default_factory=set)  # digests of models
    since: dict[Path, float] = field(default_factory=dict)  # when they were counted last
    refuses: set[str] = field(default_factory=set)  # digests of models that break their contract once they are started

    def answers(self, folder: Path) -> str:
        """The version that clients get answers from; empty if nothing answers."""
        weights = self.proxies.get(folder, {})
        up = [(weights.get(slot.name, 0), slot.version) for (at, _), slot in self.services.items() if at == folder]
        best = max(up, default=(0, ""))
        return best[1] if best[0] else ""

    def shares(self, folder: Path) -> dict[str, float]:
        """The share of the requests of each slot that gets any."""
        weights = {name: weight for name, weight in self.proxies.get(folder, {}).items() if weight}
        return {name: weight / sum(weights.values()) for name, weight in weights.items()}

    def flow(self, folder: Path) -> None:
        """Let clients ask what they have asked since the last call."""
        seconds = self.moment() - self.since.get(folder, self.moment())
        self.since[folder] = self.moment()
        for name, share in self.shares(folder).items():
            self.asked[folder, name] += seconds * self.rate * share  # type: ignore[assignment]

    def counted(self, folder: Path, slot: Slot) -> Counts:
        """In place of `Host.counted`: requests of a row each, answered alike by each model that does not fail."""
        self.flow(folder)
        if slot.port not in {each.port for each in self.services.values()}:
            raise Failure(f"version {slot.version} does not show its metrics (connection refused)")
        requests = int(self.asked[folder, slot.name])
        errors = int(FAILING * requests) if slot.model in self.failing else 0
        answered = np.array([requests - errors, 0.0])
        return Counts(requests, errors, SECONDS * answered[0], answered, BOUNDS, answered / 2, BOUNDS)

    def still(self, rate: float) -> None:
        """Let clients ask so much from now on."""
        for folder in list(self.proxies):
            self.flow(folder)
        self.rate = rate

    # In place of `slots`, `proxy`, `observed`, `loopback` and `contract`

    def free_port(self) -> int:
        self.port += 1
        return self.port

    def start(self, folder: Path, slot: Slot, version_files: Path, seconds: float) -> None:
        digest = files.digest(version_files / "export")
        assert digest == slot.model, "what is started is not what was registered"
        self.flow(folder)
        self.asked[folder, slot.name] = 0
        self.failing |= {digest} if fails(version_files) else set()
        self.services[folder, slot.name] = slot

    def stop(self, folder: Path, name: str, *, engine: bool, seconds: float = 0) -> None:
        self.services.pop((folder, name), None)

    def ready(self, slot: Slot) -> bool:
        return slot.port in {each.port for each in self.services.values() if each.version == slot.version}

    def apply(self, folder: Path, port: int, weights, image: str = "", spare: str = "", how=None) -> None:
        self.flow(folder)
        self.proxies[folder] = {name: weight for name, (_, weight) in weights.items()}

    def running(self, folder: Path) -> bool:
        return folder in self.proxies

    def halt(self, folder: Path) -> None:
        self.flow(folder)
        self.proxies.pop(folder, None)

    def drained(self, folder: Path, name: str, seconds: float) -> bool:
        return True

    def slot(self, folder: Path, name: str) -> Slot | None:
        return self.services.get((folder, name))

    def answering(self, folder: Path) -> list[str]:
        weights = self.proxies.get(folder, {})
        return [name for (at, name) in self.services if at == folder and weights.get(name)]

    def listening(self, url: str) -> bool:
        return False

    def contract(self, url: str, exported: Path, version: str | None = None, own: str | None = None) -> None:
        port = int(url.rpartition(":")[2])
        if not port:
            return  # one that is started on this machine for a moment
        found = next((slot for slot in self.services.values() if slot.port == port), None)
        if found is None or found.version != version:
            raise Failure(f"version {version} does not answer at {url}; start it again")
        if found.model in self.refuses:
            raise Failure(f"version {version} breaks its contract: /predict answers 500; see its log")
