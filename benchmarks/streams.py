"""Measure false and missed alarms of the drift policy, on streams with a known truth.

    .venv/bin/python benchmarks/streams.py [--seeds 100]

Each stream has twelve months of 30 days and is logistic, with good and bad days and seasonal features. The first four months
train the champion, which stays. From the sixth on, every month is checked against a challenger fitted to all months before
it. The true gain of each challenger is known from fresh rows of the same month. A check is a false alarm if it
retrains when that gain is below WORTHLESS, and missed if it does not when the gain is above WORTH.
"""

import argparse
import os
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # before numpy is imported

import numpy as np

from delivery.core import params
from delivery.drift import policy
from delivery.drift.policy import Window

KINDS = ("none", "sudden", "gradual", "recurring", "label", "segment")
MONTHS, TRAINED, DAYS, ROWS = 12, 4, 30, 60  # ROWS a day
NUMBERS = 4  # features, in addition to one segment
WORTHLESS, WORTH = 0.001, 0.005  # true gain in log loss
Rule = Callable[[Sequence[Window]], bool]


class Month(NamedTuple):
    x: np.ndarray  # (rows, columns)
    p: np.ndarray  # (rows,) the truth
    y: np.ndarray


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=100)
    seeds = parser.parse_args().seeds
    settings = params.load()
    level = policy.decisive(settings.compare, settings.drift)
    rules = {
        "policy": lambda windows: policy.judge(windows, settings.compare, settings.drift).verdict == "retrain",
        "newest month alone": lambda windows: policy.pool(windows[-1:], level).low > 0,
        "all months pooled": lambda windows: policy.pool(windows, level).low > 0,
    }
    start = time.monotonic()
    print("| stream | rule | false alarms, streams | checks | missed, streams | checks | months late |")
    print("|---|---|---:|---:|---:|---:|---:|")
    for kind in KINDS:
        truths, decided = outcomes(kind, range(seeds), rules)
        for name, found in decided.items():
            print(f"| {kind} | {name} | " + " | ".join(rates(truths, found)) + " |", flush=True)
    print(f"\n{len(KINDS) * seeds} streams, {time.monotonic() - start:.0f} s")


def outcomes(kind: str, seeds: Sequence[int], rules: dict[str, Rule]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return true gains and each rule's decisions, shape (seeds, checks)."""
    truths: list[Sequence[float]] = []
    decided: dict[str, list[list[bool]]] = {name: [] for name in rules}
    for seed in seeds:
        windows, gains = zip(*stream(kind, seed), strict=True)
        truths.append(gains)
        for name, rule in rules.items():
            decided[name].append([rule(windows[: count + 1]) for count in range(len(windows))])
    return np.array(truths), {name: np.array(found) for name, found in decided.items()}


def rates(truth: np.ndarray, retrain: np.ndarray) -> list[str]:
    """Return the shares of streams with a false alarm, false alarms per worthless check, streams missed, checks missed, and the delay."""
    worthless, worth = truth < WORTHLESS, truth > WORTH
    some = worth.any(axis=1)
    answered = retrain & worth
    never = some & ~answered.any(axis=1)
    late = [int(np.argmax(answered[at]) - np.argmax(worth[at])) for at in np.flatnonzero(some & ~never)]
    shares = [
        (retrain & worthless).any(axis=1).mean(),
        (retrain & worthless).sum() / max(worthless.sum(), 1),
        never.sum() / max(some.sum(), 1),
        (worth & ~retrain).sum() / max(worth.sum(), 1),
    ]
    # Without drift there is next to nothing that could be missed.
    shown = [f"{share:.1%}" for share in shares[:2]] + [
        f"{share:.1%}" if some.mean() > 0.2 else "" for share in shares[2:]
    ]
    return [*shown, f"{np.mean(late):.2f}" if late and some.mean() > 0.2 else ""]


def stream(kind: str, seed: int) -> Iterator[tuple[Window, float]]:
    """Yield each checked month as the policy sees it, and the challenger's true gain in it."""
    rng = np.random.default_rng([KINDS.index(kind), seed])
    weights = truth(kind, rng)
    months = [draw(weights[month], month, DAYS, rng) for month in range(MONTHS)]
    champion = challenger = fit(months[:TRAINED], np.zeros(weights.shape[1]))
    days = np.repeat(np.arange(DAYS), ROWS)
    for at in range(TRAINED + 1, MONTHS):
        challenger = fit(months[:at], challenger)
        x, _, y = months[at]
        old, new = (chance(x @ each) for each in (champion, challenger))
        sums = [np.bincount(days, each) for each in (np.ones(len(y)), gain(y, old, new), old - y, new - y)]
        fresh = draw(weights[at], at, 5 * DAYS, rng)
        true = gain(fresh.p, *(chance(fresh.x @ each) for each in (champion, challenger))).mean()
        yield Window(f"{at + 1:02d}", *sums), float(true)


def truth(kind: str, rng: np.random.Generator) -> np.ndarray:
    """Return coefficients by month, shape (months, columns): constant, numbers, segment, segment times numbers."""
    base = np.r_[-1.2, rng.normal(0, 0.5, NUMBERS), rng.normal(0, 0.3, 1 + NUMBERS)]
    weights = np.tile(base, (MONTHS, 1))
    turn = int(rng.integers(5, 8))
    way = rng.normal(size=NUMBERS)
    way /= np.linalg.norm(way)
    numbers = slice(1, 1 + NUMBERS)
    match kind:
        case "sudden":
            weights[turn:, numbers] += 0.45 * way
        case "gradual":
            ramp = np.clip((np.arange(MONTHS) - TRAINED) / (MONTHS - 1 - TRAINED), 0, 1)
            weights[:, numbers] += 0.8 * way * ramp[:, None]
        case "recurring":
            weights[turn - 1 : turn + 2, numbers] += 0.45 * way
        case "label":
            weights[turn:, 0] += 0.35
        case "segment":
            weights[turn:, 2 + NUMBERS :] += 0.9 * way
    return weights


def draw(weights: np.ndarray, month: int, days: int, rng: np.random.Generator) -> Month:
    season = 0.8 * np.sin(2 * np.pi * (month / 12 + np.arange(NUMBERS) / NUMBERS))
    numbers = season + rng.normal(0, 0.6, (days, 1, NUMBERS)) + rng.normal(0, 0.8, (days, ROWS, NUMBERS))
    numbers = numbers.reshape(-1, NUMBERS)
    segment = (rng.random((len(numbers), 1)) < 0.25).astype(float)
    x = np.hstack([np.ones_like(segment), numbers, segment, segment * numbers])
    p = chance(x @ weights + np.repeat(rng.normal(0, 0.6, days), ROWS))
    return Month(x, p, (rng.random(len(p)) < p).astype(float))


def fit(months: Sequence[Month], start: np.ndarray) -> np.ndarray:
    """Fit a logistic regression by Newton's method, with a small ridge penalty."""
    x, y = np.vstack([month.x for month in months]), np.concatenate([month.y for month in months])
    weights = start
    for _ in range(10):
        p = chance(x @ weights)
        curvature = (x * (p * (1 - p))[:, None]).T @ x + 1e-3 * np.eye(x.shape[1])
        step = np.linalg.solve(curvature, x.T @ (p - y) + 1e-3 * weights)
        weights = weights - step
        if np.abs(step).max() < 1e-5:
            break
    return weights


def chance(logit: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logit))


def gain(y: np.ndarray, old: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Return the difference of log loss by row; with probabilities for `y`, the expected difference."""
    return y * np.log(new / old) + (1 - y) * np.log((1 - new) / (1 - old))


if __name__ == "__main__":
    main()
