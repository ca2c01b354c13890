"""Is the new version as good as the old one? The same minutes, a share of the requests each."""

import time
from collections.abc import Callable

import numpy as np

from delivery import params
from delivery.deploy import counts
from delivery.deploy.counts import Counts
from delivery.deploy.host import Host
from delivery.errors import Failure

CHANCE = 0.01  # of a false alarm about errors
TICK = 0.25  # seconds


def run(there: Host, share: int) -> list[str]:
    """Share by share, each with a minimum of requests on both sides; a line for each step.

    Raises Failure at the first step that the candidate does not pass. With nothing to compare to, there is no canary.
    """
    if there.state.serving is None:
        return ["Nothing served before, so there was nothing to compare with: no canary."]
    settings = there.settings.canary
    return [step(there, percent, settings) for percent in [share, *(s for s in settings.steps if s > share)]]


def step(there: Host, percent: int, settings: params.Canary) -> str:
    old, new = there.state.serving, there.candidate
    assert old
    there.share(percent)
    before = counts.of(there, old), counts.of(there, new)
    deadline = time.monotonic() + settings.seconds
    while True:
        time.sleep(TICK)
        theirs, ours = counts.of(there, old).since(before[0]), counts.of(there, new).since(before[1])
        if said := errors(ours, theirs, settings.max_error_rate):
            raise Failure(f"canary at {percent} %: {said}")
        if min(theirs.predictions, ours.predictions) >= settings.requests:
            break
        if time.monotonic() > deadline:
            raise Failure(
                f"canary at {percent} %: only {ours.predictions} and {theirs.predictions} of {settings.requests} requests "
                f"came in {settings.seconds:g} s; lower deploy.canary.requests, or deploy without --canary"
            )
    if broken := verdict(ours, theirs, settings):
        raise Failure(f"canary at {percent} %: {'; '.join(broken)}")
    line = f"canary at {percent} %: {described(ours)}; before {described(theirs)}; scores PSI {psi(ours, theirs):.3f}"
    print(line, flush=True)
    return line


def described(seen: Counts) -> str:
    return f"{seen.requests} requests, {seen.errors} failed, mean {seen.mean_ms:.2f} ms, p95 {seen.quantile_ms(0.95):.2f} ms"


def verdict(ours: Counts, theirs: Counts, settings: params.Canary) -> list[str]:
    """What is worse than before, with the figures; empty when nothing is."""
    broken = [errors(ours, theirs, settings.max_error_rate)]
    slow = [
        f"{name} {mine:.2f} ms against {other:.2f} ms (max_slower {settings.max_slower:g})"
        for name, mine, other in (
            ("mean", ours.mean_ms, theirs.mean_ms),
            ("p95", ours.quantile_ms(0.95), theirs.quantile_ms(0.95)),
        )
        if mine > settings.max_slower * other and mine - other > settings.slower_ms
    ]
    distance = psi(ours, theirs)
    if distance > settings.score_psi:
        broken.append(f"the scores have moved, PSI {distance:.2f} (score_psi {settings.score_psi:g})")
    return [said for said in broken + slow if said]


def errors(ours: Counts, theirs: Counts, tolerated: float) -> str:
    """More errors than the old version's rate, or the tolerated one, would give by chance; nothing otherwise."""
    from scipy.stats import binom

    usual = max(tolerated, theirs.errors / max(theirs.requests, 1))
    if ours.errors > 1 and binom.sf(ours.errors - 1, ours.requests, usual) < CHANCE:
        return f"{ours.errors} of {ours.requests} requests failed, {theirs.errors} of {theirs.requests} before"
    return ""


def psi(ours: Counts, theirs: Counts) -> float:
    """Population stability index of the scores in the old version's buckets; half a count in each of them.

    A model of a number has buckets of its own: between its bounds its scores are taken as even. Models without
    buckets are not compared.
    """
    bounds = theirs.score_bounds[:-1]
    if not (ours.scores.sum() and theirs.scores.sum() and len(bounds) and len(ours.score_bounds) > 1):
        return 0.0
    below = [np.interp(bounds, seen.score_bounds[:-1], np.cumsum(seen.scores)[:-1]) for seen in (ours, theirs)]
    one, other = (
        np.diff(np.append(part, seen.scores.sum()), prepend=0) + 0.5
        for part, seen in zip(below, (ours, theirs), strict=True)
    )
    one, other = one / one.sum(), other / other.sum()
    return float(np.sum((one - other) * np.log(one / other)))


def alarm(there: Host) -> Callable[[], str]:
    """For the watch after the switch: has the candidate made errors beyond chance since now?"""
    before = counts.of(there, there.candidate)
    nothing = before.since(before)

    def look() -> str:
        since = counts.of(there, there.candidate).since(before)
        said = errors(since, nothing, there.settings.canary.max_error_rate)
        return f"version {there.candidate.version} after the switch: {said}" if said else ""

    return look
