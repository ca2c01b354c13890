"""What is watched after a deployment, and what makes a version worse than the one before."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from delivery.core import files, params
from delivery.core.errors import Failure
from delivery.deploy import canary, own_metrics, side_by_side
from delivery.deploy.targets import proxy
from delivery.deploy.targets.counts import Counts
from delivery.deploy.targets.host import Host
from delivery.deploy.targets.latency import Array
from delivery.deploy.targets.state import State

REFUSED, FEW = 0.05, 100  # share of refusals beyond the old version's, and requests on either side, that say something
FILE = "bake.json"


class Plan(Struct, frozen=True):
    """What is watched, until when, and what it is compared with."""

    version: str
    since: str
    """When it began to serve: the same version may serve again later."""
    until: float
    usual: Counts
    """Of the version before, since the start of the deployment."""
    life: Counts
    """Of the version before, from its own start to that of the deployment."""
    begun: Counts
    """Of the version, after the last check of its contract, which asks for refusals."""

    def serves(self, now: State) -> bool:
        """Return whether the version serves still, or has left since: the same one may have come back."""
        return now.serving is not None and (now.serving.version, now.serving.since) == (self.version, self.since)


class Suspicion(Struct, frozen=True):
    """What looks worse than at the version before, which had other minutes."""

    slower: list[str]
    moved: str


def write(folder: Path, plan: Plan) -> None:
    """Write what is to be watched into an environment's folder."""
    files.write(folder / FILE, msgspec.json.encode(plan, enc_hook=np.ndarray.tolist))


def read(folder: Path) -> Plan:
    """Return what is to be watched. Raise `Failure` if there is nothing."""
    try:
        return msgspec.json.decode((folder / FILE).read_bytes(), type=Plan, dec_hook=_array)
    except (OSError, msgspec.MsgspecError):
        raise Failure(f"nothing was deployed to {folder.name} that is to be watched") from None


def _array(_: type, values: list[float | None]) -> Array:
    """Return numbers of JSON, which has no infinite one."""
    return np.array([np.inf if value is None else value for value in values], dtype=float)


def observed(target: Host, last: Counts) -> Counts:
    """Return the counts of what serves; of a process that does not answer now, what the proxy counts."""
    serving = target.state.serving
    assert serving
    try:
        return target.counted(serving)
    except (Failure, KeyError):
        pass  # it has died or hangs: the proxy counted what clients got
    try:
        requests, errors = proxy.requests(target.folder, serving.name)
        return replace(last, requests=requests, errors=errors)
    except Failure:
        return last


def metrics(target: Host, plan: Plan) -> own_metrics.Ask:
    """Return how to ask the team's own metrics about the version."""
    before = target.state.warm.version if target.state.warm else ""
    return own_metrics.of(target.deploy, target.environment, plan.version, before)


def judged(seen: Counts, usual: Counts, settings: params.Canary) -> str:
    """Return what is worse than at the version before, errors or refusals; empty if nothing is.

    Unlike in a canary, the two versions had other minutes and so other clients, such as a person who checks the contract: a
    few refusals more are no complaint.
    """
    found = [canary.errors(seen, usual, settings.max_error_rate, canary.CHANCE_BY_LOOK)]
    if min(seen.requests, usual.requests) >= FEW:
        found.append(canary.refusals(seen, usual, max(REFUSED, settings.max_error_rate), canary.CHANCE_BY_LOOK))
    return "; ".join(filter(None, found))


def suspected(seen: Counts, plan: Plan, settings: params.Canary) -> Suspicion | None:
    """Return how latency and scores differ from those of the version before: in the minutes before, or all it answered.

    None if too few requests can be compared with either.
    """
    for before in (plan.usual, plan.life):
        if canary.comparable(seen, before) >= settings.requests:
            return Suspicion(canary.slower(seen, before, settings), canary.moved(seen, before, settings))
    return None


def confirmed(suspicion: Suspicion, target: Host, bounds: Array) -> str:
    """Return what of a suspicion the same requests confirm, asked of this version and of the warm one; empty if nothing."""
    now, settings = target.state, target.deploy.canary
    if not (now.serving and now.warm):
        return ""
    sides = side_by_side.ask(target.folder, now.serving, now.warm)
    if sides is None:
        return ""
    found = side_by_side.slower(sides, settings) if suspicion.slower else []
    if suspicion.moved:
        found.append(side_by_side.moved(sides, bounds, settings))
    text = "; ".join(filter(None, found))
    return f"{len(sides.new_ms)} recent requests, asked of both versions: {text}" if text else ""
