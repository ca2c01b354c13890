"""Is the new version as good as the old one? The same minutes, a share of the requests each."""

import time
from collections.abc import Callable

import numpy as np

from delivery.core import params
from delivery.core.errors import Failure
from delivery.deploy.targets import counts
from delivery.deploy.targets.counts import Counts
from delivery.deploy.targets.host import Host

CHANCE = 0.01  # of a false alarm about errors
TICK = 0.5  # seconds; each look costs both services a page of metrics


def run(
    share: Callable[[int], None], look: Callable[[], tuple[Counts, Counts]], first: int, settings: params.Canary
) -> list[str]:
    """Share by share, each with a minimum of requests on both sides; a line for each step.

    `look` gives the counts of the old and of the new version. Raises Failure at the first step that is not passed.
    """
    return [
        step(share, look, percent, settings) for percent in [first, *(more for more in settings.steps if more > first)]
    ]


def step(
    share: Callable[[int], None], look: Callable[[], tuple[Counts, Counts]], percent: int, settings: params.Canary
) -> str:
    share(percent)
    before = look()
    deadline = time.monotonic() + settings.seconds
    while True:
        time.sleep(TICK)
        theirs, ours = (seen.since(then) for seen, then in zip(look(), before, strict=True))
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
    usual = max(tolerated, theirs.errors / max(theirs.requests, 1))
    if ours.errors < 2:
        return ""
    from scipy.stats import binom  # a second of a core that the services would miss

    by_chance = binom.sf(ours.errors - 1, ours.requests, usual) > CHANCE
    said = f"{ours.errors} of {ours.requests} requests failed, {theirs.errors} of {theirs.requests} before"
    return "" if by_chance else said


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
