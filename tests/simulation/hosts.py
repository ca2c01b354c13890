"""The services of environments on hosts, and their proxies: objects that keep on when a job ends."""

from dataclasses import dataclass, field
from pathlib import Path

from delivery.core import files
from delivery.core.errors import Failure
from delivery.deploy.targets.state import Slot


@dataclass
class Hosts:
    """What runs on all hosts: services by folder and slot, and the weights of each proxy."""

    services: dict[tuple[Path, str], Slot] = field(default_factory=dict)
    proxies: dict[Path, dict[str, int]] = field(default_factory=dict)
    port: int = 20000
    refuses: set[str] = field(default_factory=set)  # digests of models that break their contract once they are started

    def answers(self, folder: Path) -> str:
        """The version that clients get answers from; empty if nothing answers."""
        weights = self.proxies.get(folder, {})
        up = [(weights.get(slot.name, 0), slot.version) for (at, _), slot in self.services.items() if at == folder]
        best = max(up, default=(0, ""))
        return best[1] if best[0] else ""

    # In place of `slots`, `proxy`, `observed`, `loopback` and `contract`

    def free_port(self) -> int:
        self.port += 1
        return self.port

    def start(self, folder: Path, slot: Slot, version_files: Path, seconds: float) -> None:
        digest = files.digest(version_files / "export")
        assert digest == slot.model, "what is started is not what was registered"
        self.services[folder, slot.name] = slot

    def stop(self, folder: Path, name: str, *, engine: bool, seconds: float = 0) -> None:
        self.services.pop((folder, name), None)

    def ready(self, slot: Slot) -> bool:
        return slot.port in {each.port for each in self.services.values() if each.version == slot.version}

    def apply(self, folder: Path, port: int, weights, image: str = "", spare: str = "", how=None) -> None:
        self.proxies[folder] = {name: weight for name, (_, weight) in weights.items()}

    def running(self, folder: Path) -> bool:
        return folder in self.proxies

    def halt(self, folder: Path) -> None:
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
