"""The latency of requests, over all of them and by their size, so that two versions are compared on requests alike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Times(Struct, frozen=True):
    """Latencies of requests, counted in buckets."""

    seconds: float
    """Time spent on them."""
    buckets: Array
    """Number of them per bucket of latency."""
    bounds: Array
    """Upper bounds of the buckets, in seconds; the last is infinite."""

    @property
    def number(self) -> float:
        """Return the number of requests; of weighted ones it need not be whole."""
        return float(self.buckets.sum())

    @property
    def mean_ms(self) -> float:
        """Return the mean in milliseconds; 0 without a request."""
        return 1e3 * self.seconds / (self.number or 1)

    def quantile_ms(self, share: float) -> float:
        """Return a quantile in milliseconds, linear within a bucket; the last finite bound at most."""
        total = np.concatenate([[0], np.cumsum(self.buckets)])
        bounds = np.concatenate([[0], self.bounds])
        bounds[-1] = bounds[-2]
        return 1e3 * float(np.interp(share * total[-1], total, bounds))

    def since(self, before: Times | None) -> Times:
        """Return what came after `before`, which is None for a size that had not come yet."""
        if before is None:
            return self
        return Times(self.seconds - before.seconds, self.buckets - before.buckets, self.bounds)


Sizes = Mapping[str, Times]
"""Range of the number of rows to the latencies of requests of that size; empty of a service that does not count it yet."""


def total(parts: Iterable[Times]) -> Times:
    """Return several counts together; there is at least one."""
    every = list(parts)
    return Times(sum(part.seconds for part in every), np.sum([part.buckets for part in every], axis=0), every[0].bounds)


def by_size(replicas: Iterable[Sizes]) -> Sizes:
    """Return the sizes of several replicas together."""
    every = list(replicas)
    names = sorted({size for sizes in every for size in sizes})
    return {name: total(sizes[name] for sizes in every if name in sizes) for name in names}


def in_common(new: Sizes, old: Sizes) -> int:
    """Return how many requests of the same size both versions have answered."""
    return int(sum(min(new[size].number, old[size].number) for size in new.keys() & old.keys()))


def standardised(new: Sizes, old: Sizes) -> tuple[Times, Times]:
    """Return both versions' latencies as if both had got requests of the same sizes, of which they have some in common.

    Each size has the weight that Mantel and Haenszel give it, n m / (n + m) for n and m requests: one that hardly came to a
    version counts little, and one that came to one version only does not count.
    """
    shared = [size for size in sorted(new.keys() & old.keys()) if new[size].number and old[size].number]
    weights = [new[size].number * old[size].number / (new[size].number + old[size].number) for size in shared]

    def weighted(sizes: Sizes) -> Times:
        parts = [(sizes[size], weight / sizes[size].number) for size, weight in zip(shared, weights, strict=True)]
        return total(Times(part.seconds * factor, part.buckets * factor, part.bounds) for part, factor in parts)

    return weighted(new), weighted(old)
