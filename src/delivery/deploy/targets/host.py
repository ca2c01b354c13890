"""Targets `process` and `docker`: two slots of this host behind a proxy. One serves; the other is tried or kept warm."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType

from msgspec.structs import replace

from delivery.adapters import provenance
from delivery.core import files, params
from delivery.core.errors import Failure
from delivery.deploy.targets import (
    container,
    counts,
    loopback,
    observed,
    priority,
    process,
    proxy,
    slots,
    state,
    tokens,
)
from delivery.deploy.targets.counts import Counts
from delivery.deploy.targets.routing import Routing
from delivery.deploy.targets.state import Slot, State
from delivery.deploy.targets.target import Judge, Release
from delivery.probe import contract

WHOLE = 100
NEARLY = 99  # while a new version is watched, a request that it fails can still go to the old one
WATCH_TICK = 0.1
OWED = "owed.json"
HURRY = 1  # seconds to drain, and to end, when a signal ends the verb
HOME = Path("~/.local/state/delivery")


class Host:
    """An environment of this host; `opened` makes one and holds its lock."""

    def __init__(self, environment: str, settings: params.Environment, deploy: params.Deploy):
        self.environment, self.settings, self.deploy = environment, settings, deploy
        self.folder = folder(environment, settings)
        self.state = state.read(self.folder)
        self.removed = ""
        self.before: Counts | None = None  # what the version that serves had answered when the candidate was started
        self.usual: Counts | None = None  # what it answered from then to the switch

    @property
    def url(self) -> str:
        """Return the proxy's own address."""
        return local(self.settings)

    @property
    def address(self) -> str:
        """Return the address that clients use, as far as it is known."""
        return self.settings.address or self.url

    @property
    def location(self) -> str:
        """Return where clients find the environment, in words."""
        return f"at {self.address}"

    @property
    def candidate(self) -> Slot:
        """Return the slot that is being tried."""
        assert self.state.candidate
        return self.state.candidate

    def settle(self, pointed: Callable[[], str], *, rolled_back: bool = False) -> None:
        """Keep the candidate of a killed command if it is the version that `pointed` names, and ready; else remove it."""
        left = self.state.candidate
        if left is None:
            tokens.settle(self.folder, self.state.serving.access if self.state.serving else "")
            if self.state.serving and proxy.running(self.folder):
                self._apply(self._resting())
        elif left.version == pointed() and slots.ready(left):
            self.finish(rolled_back=rolled_back)
            print(f"{self.environment}: a command ended before version {left.version} was final; it serves now")
        else:
            with suppress(Failure):  # without a proxy no client has it
                self.removed = left.version if left.name in observed.answering(self.folder) else ""
            self.undo()
            print(f"{self.environment}: a command ended before version {left.version} was final; it is removed")

    def serving(self) -> str:
        """Return the version that is meant to serve, whether or not it answers; empty if there is none."""
        return self.state.serving.version if self.state.serving else ""

    def serves(self, version: str) -> bool:
        """Return whether this version serves and answers through a running proxy."""
        serving = self.state.serving
        return bool(serving and serving.version == version and slots.ready(serving) and proxy.running(self.folder))

    def owed(self) -> bytes:
        """Return the records that are kept for the registry."""
        path = self.folder / OWED
        return path.read_bytes() if path.exists() else b""

    def owe(self, content: bytes) -> None:
        """Keep records for the registry in the environment's folder. Raise `OSError` on a full disk."""
        if content:
            files.write(self.folder / OWED, content)
        else:
            (self.folder / OWED).unlink(missing_ok=True)

    def start(self, release: Release, version_files: Path) -> None:
        """Make the version the candidate: the warm slot if that runs it, else a new one that is ready by now."""
        warm, serving = self.state.warm, self.state.serving
        self.before = self._answered(serving)
        access = tokens.settled(self.folder, slots.url(serving) if serving else "").name
        if warm and slots.running(warm) == release and warm.access == access and slots.ready(warm):
            self._write(replace(self.state, candidate=warm))
            return
        if release.image:
            container.refuse_no_engine()
        name = proxy.SLOTS[1] if serving and serving.name == proxy.SLOTS[0] else proxy.SLOTS[0]
        slot = Slot(
            name, loopback.free_port(), release.version, release.model, release.image, release.commit, access=access
        )
        self._write(State(serving=serving, candidate=slot))
        if proxy.running(self.folder):
            self._apply(self._resting())
        slots.stop(self.folder, name, engine=bool(release.image or (warm and warm.image)))
        slots.start(self.folder, slot, version_files, self.deploy.ready_seconds)

    def resume(self, version: str) -> Release | None:
        """Make the warm slot the candidate, if it is ready and what is wanted; else return None."""
        warm = self.state.warm
        wanted = warm and version in ("", warm.version) and (version or not warm.rolled_back)
        # One that was started with other tokens would answer those who may not ask any more.
        if not (warm and wanted and warm.access == tokens.read(self.folder).name and slots.ready(warm)):
            return None
        self._write(replace(self.state, candidate=warm))
        return slots.running(warm)

    def check(self) -> None:
        """Check the candidate's slot against its contract."""
        exported = slots.model(self.folder, self.candidate.name)
        own = tokens.read(self.folder).own
        contract.refuse(slots.url(self.candidate), exported, self.candidate.version, own or None)

    def shift(self, percent: int) -> None:
        """Send this share of the traffic to the candidate; all of it if nothing else serves."""
        new, old = self.candidate, self.state.serving
        weights = {new.name: (new.port, WHOLE if old is None else percent)}
        versions = {slot.version: slot.name for slot in (new, old) if slot and percent < NEARLY}
        self._apply(weights | ({old.name: (old.port, WHOLE - percent)} if old else {}), "", versions)

    def counts(self) -> tuple[Counts, Counts]:
        """Return the counts of the slot that serves and of the candidate."""
        assert self.state.serving
        return self.counted(self.state.serving), self.counted(self.candidate)

    def counted(self, slot: Slot) -> Counts:
        """Return a slot's counts: requests and errors as the proxy saw them, latency and scores from the service.

        Raise `Failure` if the proxy or the service does not answer.
        """
        answered, failed = proxy.requests(self.folder, slot.name)
        try:
            own = tokens.read(self.folder).own
            headers = {"authorization": f"Bearer {own}"} if own else {}
            seen = counts.by_service(loopback.read(f"{slots.url(slot)}/metrics", headers).decode())
        except OSError as error:
            raise Failure(f"version {slot.version} does not show its metrics ({error})") from None
        return replace(seen, requests=answered, errors=failed)

    def _answered(self, slot: Slot | None) -> Counts | None:
        """Return a slot's counts; None if it does not answer, which a deployment may be the remedy for."""
        try:
            return self.counted(slot) if slot else None
        except (Failure, KeyError):
            return None

    def choice(self) -> str:
        """Return what `delivery steer` has left for a canary since the last call."""
        return state.taken(self.folder)

    def take_over(self, judge: Judge | None) -> None:
        """Send all traffic to the candidate. With a judge, watch it for `watch_seconds`, the old version within reach.

        Raise `Failure` if it is not ready any more, or with what the judge says.
        """
        if judge is None:
            self.shift(WHOLE)
            return
        self.shift(NEARLY)
        before, old = self.counted(self.candidate), self._answered(self.state.serving)
        usual = old.since(self.before) if old and self.before else before.since(before)
        self.usual = usual
        deadline = time.monotonic() + self.deploy.watch_seconds
        while True:
            if not slots.ready(self.candidate):
                last = slots.last_line(self.folder, self.candidate)
                raise Failure(f"version {self.candidate.version} is not ready any more: {last}")
            if complaint := judge(self.counted(self.candidate).since(before), usual):
                raise Failure(complaint)
            if time.monotonic() > deadline:
                return
            time.sleep(WATCH_TICK)

    def finish(self, *, rolled_back: bool = False) -> str:
        """Make the candidate what serves; drain what served before and keep it warm."""
        old = self.state.serving
        new = replace(self.candidate, since=provenance.now(), rolled_back=False)
        self._write(State(serving=new, warm=replace(old, rolled_back=rolled_back) if old else None))
        tokens.final(self.folder)
        self._apply(self._resting())
        if old is None:
            return ""
        if not proxy.drained(self.folder, old.name, self.deploy.drain_seconds):
            seconds = f"{self.deploy.drain_seconds:g} s"
            print(f"{self.environment}: version {old.version} still has requests after {seconds}")
        return old.version

    def remove(self) -> None:
        """Stop the proxy first, so that no client meets half an environment, then both slots; the prediction log stays."""
        now = self.state
        proxy.stop(self.folder)
        engine = any(slot.image for slot in (now.serving, now.warm, now.candidate) if slot)
        for name in proxy.SLOTS:
            slots.stop(self.folder, name, engine=engine)
        self._write(State())

    def undo(self, *, hurry: bool = False) -> None:
        """Restore the state before the candidate; a slot that was warm before stays warm."""
        candidate, warm, serving = self.state.candidate, self.state.warm, self.state.serving
        if candidate is None:
            tokens.restore(self.folder)
            return
        try:
            if serving:
                self._apply(self._resting())
                proxy.drained(self.folder, candidate.name, HURRY if hurry else self.deploy.drain_seconds)
            else:
                proxy.stop(self.folder)
        finally:  # on a full disk this makes room
            if not (warm and warm.name == candidate.name):
                seconds = HURRY if hurry else process.STOP
                slots.stop(self.folder, candidate.name, engine=bool(candidate.image), seconds=seconds)
            tokens.restore(self.folder)
            self._write(State(serving=serving, warm=warm))

    def rest(self) -> None:
        """Record the state, and have the proxy distribute traffic by it."""
        self._write(self.state)
        self._apply(self._resting())

    def _resting(self) -> proxy.Weights:
        shares = [(self.state.serving, WHOLE), (self.state.warm, 0)]
        return {slot.name: (slot.port, weight) for slot, weight in shares if slot}

    def _apply(
        self, weights: proxy.Weights, spare: str | None = None, versions: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        """Set the weights, and the slots of the `versions` that a request may choose.

        The spare slot is by default the warm one, unless its version was rolled back.
        """
        warm = self.state.warm
        if spare is None:
            spare = warm.name if warm and not warm.rolled_back and warm.name in weights else ""
        how = Routing(self.settings.sticky_header, self.settings.version_header, versions)
        proxy.apply(self.folder, self.settings.port, weights, self.settings.proxy_image, spare, how)

    def _write(self, new: State) -> None:
        state.write(self.folder, new)
        self.state = new


def folder(environment: str, settings: params.Environment) -> Path:
    """Return the folder of an environment. Two checkouts of the same name on one host need a `folder` each."""
    home = Path(settings.folder).expanduser() if settings.folder else HOME.expanduser() / Path.cwd().name
    return home.resolve() / environment


def local(settings: params.Environment) -> str:
    """Return the address of an environment's proxy on this host."""
    return f"http://127.0.0.1:{settings.port}"


@contextmanager
def opened(environment: str, settings: params.Environment, deploy: params.Deploy) -> Iterator[Host]:
    """Yield an environment of this host, locked. Raise `Failure` if another command changes it."""
    if not Path("/proc/self/cmdline").exists():
        raise Failure("the targets process and docker need Linux; elsewhere leave the environment without a target")
    with state.locked(folder(environment, settings)), priority.yielding():
        yield Host(environment, settings, deploy)
