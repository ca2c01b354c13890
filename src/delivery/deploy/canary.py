"""Compare a new version with the old one on live traffic: the same minutes, a share of the requests each."""

import time
from collections.abc import Iterable

import numpy as np

from delivery.core import params
from delivery.core.errors import Failure
from delivery.deploy import own_metrics
from delivery.deploy.own_metrics import Ask
from delivery.deploy.targets import latency
from delivery.deploy.targets.counts import Counts
from delivery.deploy.targets.target import Judge, Target

CHANCE = 0.01  # probability of a false alarm about errors
CHANCE_BY_LOOK = 0.001  # of one about refusals while requests still come in: many looks are taken
END = "end"  # the choice that ends a canary
CHOICES = "deploy it again with a larger share or at a busier hour, or lower deploy.canary.requests"
METRICS = "see to deploy.prometheus and the queries of deploy.metrics, then deploy it again"
TICK = 0.5  # seconds; each look costs both services a page of metrics


def run(target: Target, first: int, settings: params.Canary, ask: Ask = own_metrics.none) -> list[str]:
    """Give the candidate `first` per cent of the traffic, then each larger share of `settings.steps`.

    `ask` asks a team's own metrics. Return a line for each step. Raise `Failure` at the first step that is not passed.
    """
    lines, reached = [], 0
    for percent in [first, *settings.steps]:
        if percent > reached:
            line, reached = step(target, percent, settings, ask)
            lines.append(line)
    return lines


def step(target: Target, percent: int, settings: params.Canary, ask: Ask = own_metrics.none) -> tuple[str, int]:
    """Compare both versions at one share of the traffic, once both have answered enough requests.

    Too few requests, or a metric that is not known, hold the canary at its share: a person may wait, widen it or end it.
    Return a line and the share that was reached. Raise `Failure` if the new version is worse, if a person ends it, or after
    `settings.hold_seconds`.
    """
    target.shift(percent)
    before, deadline, held = target.counts(), time.monotonic() + settings.seconds, False
    while True:
        time.sleep(TICK)
        old, new = (now.since(then) for now, then in zip(target.counts(), before, strict=True))
        refuse(percent, [
            errors(new, old, settings.max_error_rate),
            refusals(new, old, settings.max_error_rate, CHANCE_BY_LOOK),
        ])  # fmt: skip
        missing, remedy = few(new, old, settings), CHOICES
        if not missing:
            refuse(percent, verdict(new, old, settings))
            answer = ask()
            refuse(percent, answer.worse)
            missing, remedy = "; ".join(answer.unknown), METRICS
        if not missing:
            break
        if choice := target.choice():
            if choice == END:
                raise Failure(f"canary at {percent} %: a person ended it; {missing}")
            return step(target, int(choice), settings, ask)
        if time.monotonic() > deadline + settings.hold_seconds:
            waited = settings.seconds + settings.hold_seconds
            raise Failure(f"canary at {percent} %: {missing} in {waited:g} s, so nothing is decided; {remedy}")
        if time.monotonic() > deadline and not held:
            held = True
            print(holding(target.environment, percent, missing, settings), flush=True)
    line = f"canary at {percent} %: {described(new)}; before {described(old)}; scores PSI {psi(new, old):.3f}"
    print(line, flush=True)
    return line, percent


def refuse(percent: int, complaints: list[str]) -> None:
    """Raise `Failure` with the complaints that say something."""
    if text := "; ".join(filter(None, complaints)):
        raise Failure(f"canary at {percent} %: {text}")


def few(new: Counts, old: Counts, settings: params.Canary) -> str:
    """Return that too few requests came to compare both versions; empty if enough came."""
    if (alike := comparable(new, old)) >= settings.requests:
        return ""
    if min(new.predictions, old.predictions) >= settings.requests:
        return f"only {alike} of {settings.requests} requests of the same number of rows came to both"
    return f"only {new.predictions} and {old.predictions} of {settings.requests} requests came"


def holding(environment: str, percent: int, missing: str, settings: params.Canary) -> str:
    """Return what a canary waits for, and what a person can do."""
    return (
        f"canary at {percent} %: {missing} in {settings.seconds:g} s, too little to decide. It is held at {percent} % for "
        f"{settings.hold_seconds:g} s and goes on once that has changed. Wait; or widen it with `delivery steer "
        f"{environment} --share 50%`; or end it with `delivery steer {environment} --end`, or by stopping this command"
    )


def described(seen: Counts) -> str:
    """Return counts in words."""
    return f"{seen.requests} requests, {seen.errors} failed, mean {seen.mean_ms:.2f} ms, p95 {seen.quantile_ms(0.95):.2f} ms"


def verdict(new: Counts, old: Counts, settings: params.Canary) -> list[str]:
    """Return what is worse than before, with the figures."""
    complaints = [
        errors(new, old, settings.max_error_rate), refusals(new, old, settings.max_error_rate, CHANCE),
    ]  # fmt: skip
    complaints += [moved(new, old, settings), *slower(new, old, settings)]
    return [complaint for complaint in complaints if complaint]


def comparable(new: Counts, old: Counts) -> int:
    """Return the number of predictions that both versions can be compared on: of those of the same size, if that is known."""
    if new.sizes and old.sizes:
        return latency.in_common(new.sizes, old.sizes)
    return min(new.predictions, old.predictions)


def slower(new: Counts, old: Counts, settings: params.Canary) -> list[str]:
    """Return by which figures the new version is slower than the limits allow, at requests of the same sizes."""
    now, before = new.latency, old.latency
    if new.sizes and old.sizes:
        if not latency.in_common(new.sizes, old.sizes):
            return []
        now, before = latency.standardised(new.sizes, old.sizes)
    return exceeded(
        (("mean", now.mean_ms, before.mean_ms), ("p95", now.quantile_ms(0.95), before.quantile_ms(0.95))), settings
    )


def exceeded(figures: Iterable[tuple[str, float, float]], settings: params.Canary) -> list[str]:
    """Return the figures of latency that are beyond both limits: each has a name and the new and old version's value."""
    return [
        f"{name} {ours:.2f} ms against {theirs:.2f} ms (max_slower {settings.max_slower:g})"
        for name, ours, theirs in figures
        if ours > settings.max_slower * theirs and ours - theirs > settings.slower_ms
    ]


def errors(new: Counts, old: Counts, tolerated: float, chance: float = CHANCE) -> str:
    """Return a complaint if there are more errors than chance gives at the old version's rate, or the tolerated one.

    Source: the upper tail of the binomial distribution at `chance`. A single error never suffices.
    """
    usual = max(tolerated, old.errors / max(old.requests, 1))
    if new.errors < 2:
        return ""
    from scipy.stats import binom  # a second of a core that the services would miss

    by_chance = binom.sf(new.errors - 1, new.requests, usual) > chance
    return "" if by_chance else f"{new.errors} of {new.requests} requests failed, {old.errors} of {old.requests} before"


def refusals(new: Counts, old: Counts, tolerated: float, chance: float) -> str:
    """Return a complaint for each status from 400 to 499 that a larger share of requests gets than at the old version.

    Both versions answer the same clients, so what clients do wrong is as frequent at both. Source: Fisher's exact test,
    one-sided, at `chance`; a share that is larger by no more than `tolerated` is no complaint, and neither is a single one.
    """
    asked, usual = (max(seen.requests, sum(seen.refused.values())) for seen in (new, old))
    complaints = []
    for status, count in sorted(new.refused.items()):
        before = old.refused.get(status, 0)
        if count < 2 or not usual or count / asked - before / usual <= tolerated:
            continue
        from scipy.stats import hypergeom  # a second of a core that the services would miss

        if hypergeom.sf(count - 1, asked + usual, count + before, asked) <= chance:
            complaints.append(f"{count} of {asked} requests were answered {status}, {before} of {usual} before")
    return "; ".join(complaints)


def moved(new: Counts, old: Counts, settings: params.Canary) -> str:
    """Return a complaint if the distribution of the scores is another one than at the old version."""
    distance = psi(new, old)
    if distance <= settings.score_psi:
        return ""
    return f"the scores have moved, PSI {distance:.2f} (score_psi {settings.score_psi:g})"


def psi(new: Counts, old: Counts) -> float:
    """Return the population stability index of the scores in the old version's buckets, half a count added to each.

    A regression model has buckets of its own: scores are taken as even between its bounds. Models without buckets are
    not compared; the index is 0.
    """
    bounds = old.score_bounds[:-1]
    if not (new.scores.sum() and old.scores.sum() and len(bounds) and len(new.score_bounds) > 1):
        return 0.0
    below = [np.interp(bounds, seen.score_bounds[:-1], np.cumsum(seen.scores)[:-1]) for seen in (new, old)]
    one, other = (
        np.diff(np.append(part, seen.scores.sum()), prepend=0) + 0.5
        for part, seen in zip(below, (new, old), strict=True)
    )
    one, other = one / one.sum(), other / other.sum()
    return float(np.sum((one - other) * np.log(one / other)))


def judge(version: str, tolerated: float) -> Judge:
    """Return the judge of a version that has taken over: more errors than chance gives, or more refusals than before?"""

    def complaint(since: Counts, before: Counts) -> str:
        nothing = since.since(since)
        found = (errors(since, nothing, tolerated), refusals(since, before, tolerated, CHANCE_BY_LOOK))
        text = "; ".join(filter(None, found))
        return f"version {version} after the switch: {text}" if text else ""

    return complaint
