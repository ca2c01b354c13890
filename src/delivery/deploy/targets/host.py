"""An environment of one host: two slots behind a proxy, of which one serves and the other is tried or kept warm."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec.structs import replace

from delivery.adapters import provenance
from delivery.core import params
from delivery.core.errors import Failure
from delivery.deploy.targets import priority, proxy, slots, state
from delivery.deploy.targets.state import Slot, State

WHOLE = 100
NEARLY = 99  # while a new version is watched the old one stays within reach of a request that fails
HOME = Path("~/.local/state/delivery")


class Host:
    """Made by `opened`, which holds the lock. Until `keep`, `undo` brings back what was there."""

    def __init__(self, environment: str, place: params.Place, settings: params.Deploy):
        self.environment, self.place, self.settings = environment, place, settings
        self.folder = folder(environment, place)
        self.state = state.read(self.folder)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.place.port}"

    @property
    def address(self) -> str:
        """What people ask, as far as is known."""
        return self.place.address or self.url

    def say(self, what: str) -> None:
        print(f"{self.environment}: {what}", flush=True)

    @property
    def candidate(self) -> Slot:
        assert self.state.candidate
        return self.state.candidate

    def settle(self, pointed: Callable[[], str]) -> None:
        """Puts right what a killed process left: on to its candidate if the alias is there already, else back."""
        left = self.state.candidate
        if left is None:
            if self.state.serving and proxy.running(self.folder):
                self._weights(self._resting())
        elif left.version == pointed() and slots.ready(left):
            self.keep()
            print(f"{self.environment}: version {left.version} was left half-way; it serves now")
        else:
            self.undo()
            print(f"{self.environment}: version {left.version} was left half-way; it is removed")

    def serves(self, version: str) -> bool:
        serving = self.state.serving
        return bool(serving and serving.version == version and slots.ready(serving) and proxy.running(self.folder))

    def begin(self, wanted: Slot, exported: Path) -> None:
        """The version as candidate, ready and without a request: the one that is still warm, or a new one."""
        warm, serving = self.state.warm, self.state.serving
        same = warm and (warm.version, warm.model, warm.image) == (wanted.version, wanted.model, wanted.image)
        if warm and same and slots.ready(warm):
            self._write(replace(self.state, candidate=warm))
            return
        if wanted.image:
            slots.refuse_no_engine()
        name = proxy.SLOTS[1] if serving and serving.name == proxy.SLOTS[0] else proxy.SLOTS[0]
        wanted = replace(wanted, name=name, port=slots.free_port())
        self._write(State(serving=serving, candidate=wanted))
        if proxy.running(self.folder):
            self._weights(self._resting())
        slots.stop(self.folder, name, engine=bool(wanted.image or (warm and warm.image)))
        slots.start(self.folder, wanted, exported, self.settings.ready_seconds)

    def warm(self) -> None:
        """The warm version as candidate; the caller has seen that there is one."""
        self._write(replace(self.state, candidate=self.state.warm))

    def share(self, percent: int) -> None:
        """So many requests of a hundred to the candidate, the others to what serves."""
        new, old = self.candidate, self.state.serving
        weights = {new.name: (new.port, WHOLE if old is None else percent)}
        self._weights(weights | ({old.name: (old.port, WHOLE - percent)} if old else {}))

    def keep(self, *, rolled_back: bool = False) -> None:
        """The candidate serves; what served is drained and kept warm."""
        old = self.state.serving
        new = replace(self.candidate, since=provenance.now(), rolled_back=False)
        self._write(State(serving=new, warm=replace(old, rolled_back=rolled_back) if old else None))
        self._weights(self._resting())
        if old and not proxy.drained(self.folder, old.name, self.settings.drain_seconds):
            print(
                f"{self.environment}: version {old.version} still has requests after {self.settings.drain_seconds:g} s"
            )

    def undo(self) -> None:
        """As it was before; what was not there then is gone."""
        gone, warm, serving = self.candidate, self.state.warm, self.state.serving
        try:
            if serving:
                self._weights(self._resting())
                proxy.drained(self.folder, gone.name, self.settings.drain_seconds)
            else:
                proxy.stop(self.folder)
        finally:  # on a full disk this makes room
            if not (warm and warm.name == gone.name):  # a warm one has lost nothing by being tried
                slots.stop(self.folder, gone.name, engine=bool(gone.image))
            self._write(State(serving=serving, warm=warm))

    def _resting(self) -> proxy.Weights:
        found = [(self.state.serving, WHOLE), (self.state.warm, 0)]
        return {slot.name: (slot.port, weight) for slot, weight in found if slot}

    def _weights(self, weights: proxy.Weights) -> None:
        proxy.apply(self.folder, self.place.port, weights, self.place.proxy_image)

    def _write(self, new: State) -> None:
        state.write(self.folder, new)
        self.state = new


def folder(environment: str, place: params.Place) -> Path:
    """Two checkouts of the same name on one machine want a `folder` each."""
    home = Path(place.folder).expanduser() if place.folder else HOME.expanduser() / Path.cwd().name
    return home.resolve() / environment


@contextmanager
def opened(environment: str, place: params.Place, settings: params.Deploy) -> Iterator[Host]:
    if not Path("/proc/self/cmdline").exists():
        raise Failure("the targets process and docker need Linux; elsewhere leave the environment without a target")
    with state.locked(folder(environment, place)), priority.giving_way():
        yield Host(environment, place, settings)


@contextmanager
def returning(there: Host) -> Iterator[None]:
    """Whatever goes wrong within, what ran before runs again, and the failure says so."""
    old = there.state.serving
    try:
        yield
    except BaseException as error:
        where = there.environment
        kept = f"version {old.version} goes on serving {where}" if old else f"nothing serves {where}, as before"
        try:
            if there.state.candidate:
                there.undo()
        except (Failure, OSError) as second:
            kept += f"; what is left of the other one ({second}) goes with the next deployment"
        if isinstance(error, Exception):
            raise Failure(f"{reason(error)}; {kept}") from error
        print(f"{where}: {kept}")
        raise


def reason(error: Exception) -> str:
    """In one line, whoever's error it is."""
    if isinstance(error, shutil.Error) and isinstance(error.args[0], list):
        return str(error.args[0][0][2])  # the first of the files that could not be copied
    return (str(error).splitlines() or [type(error).__name__])[0]


def watch(there: Host, errors: Callable[[], str]) -> None:
    """Looks at the candidate for a while. Raises Failure when it is not ready, or with what `errors` says."""
    deadline = time.monotonic() + there.settings.watch_seconds
    while True:
        if not slots.ready(there.candidate):
            last = slots.last_word(there.folder, there.candidate)
            raise Failure(f"version {there.candidate.version} is not ready any more: {last}")
        if said := errors():
            raise Failure(said)
        if time.monotonic() > deadline:
            return
        time.sleep(0.1)
