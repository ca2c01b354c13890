"""What a version has answered: requests, errors, latency and scores, from a service's own metrics."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from math import inf

import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from delivery.core.errors import Failure
from delivery.deploy.targets import latency
from delivery.deploy.targets.latency import Array, Sizes, Times


class Counts(Struct, frozen=True):
    """Totals since a service started; `since` gives what came between two of them."""

    requests: int
    errors: int
    """Answers with status 500 and more; from a proxy also connections that were refused or lost."""
    seconds: float
    """Time spent on the answered predictions."""
    times: Array
    """Number of predictions per bucket of latency."""
    bounds: Array
    """Upper bounds of those buckets, in seconds; the last is infinite."""
    scores: Array
    """Number of scores per bucket."""
    score_bounds: Array
    """Upper bounds of those buckets; another model may have others."""
    refused: Mapping[str, int] = {}
    """Number of answers by status, of those from 400 to 499."""
    sizes: Sizes = {}
    """The same latencies by the requests' number of rows."""

    def since(self, before: Counts) -> Counts:
        """Return what came after `before`.

        Whoever has restarted since counts from zero: the service, or the proxy, whose part are requests and errors.
        """
        if self.requests >= before.requests:
            asked = self.requests - before.requests, self.errors - before.errors
        else:
            asked = self.requests, self.errors
        fewer = any(self.refused.get(status, 0) < count for status, count in before.refused.items())
        if fewer or self.times.sum() < before.times.sum():
            return replace(self, requests=asked[0], errors=asked[1])
        return Counts(
            *asked,
            self.seconds - before.seconds,
            self.times - before.times,
            self.bounds,
            self.scores - before.scores,
            self.score_bounds,
            {status: count - before.refused.get(status, 0) for status, count in self.refused.items()},
            {size: times.since(before.sizes.get(size)) for size, times in self.sizes.items()},
        )

    @property
    def predictions(self) -> int:
        """Return the number of answered predictions."""
        return int(self.times.sum())

    @property
    def latency(self) -> Times:
        """Return the latencies of all predictions."""
        return Times(self.seconds, self.times, self.bounds)

    @property
    def mean_ms(self) -> float:
        """Return the mean latency in milliseconds."""
        return self.latency.mean_ms

    def quantile_ms(self, share: float) -> float:
        """Return a quantile of the latency in milliseconds."""
        return self.latency.quantile_ms(share)


def by_service(text: str) -> Counts:
    """Return the counts of a service from its page of metrics, which knows no request that never reached it."""
    samples = {family.name: family.samples for family in text_string_to_metric_families(text)}
    score_bounds, scores = _buckets(samples["predict_score"])
    bounds, times = _buckets(samples["predict_seconds"])
    seconds = next(sample.value for sample in samples["predict_seconds"] if sample.name.endswith("_sum"))
    asked: Counter[str] = Counter()  # a status has a sample for each name of a token
    for sample in samples["predict_requests"]:
        asked[sample.labels["status"]] += int(sample.value) if sample.name.endswith("_total") else 0
    failed = sum(count for status, count in asked.items() if status.startswith("5"))
    refused = {status: count for status, count in asked.items() if status.startswith("4")}
    sizes = _by_size(samples.get("predict_seconds_by_rows", []))
    return Counts(sum(asked.values()), failed, seconds, times, bounds, scores, score_bounds, refused, sizes)


def total(seen: Sequence[Counts]) -> Counts:
    """Return the counts of several replicas together. Raise `Failure` if there is none."""
    if not seen:
        raise Failure("no replica gets requests, so there is nothing to compare")
    return Counts(
        sum(one.requests for one in seen),
        sum(one.errors for one in seen),
        sum(one.seconds for one in seen),
        np.sum([one.times for one in seen], axis=0),
        seen[0].bounds,
        np.sum([one.scores for one in seen], axis=0),
        seen[0].score_bounds,
        dict(sum((Counter(one.refused) for one in seen), Counter())),
        latency.by_size(one.sizes for one in seen),
    )


def _by_size(samples: Sequence[Sample]) -> Sizes:
    """Return the latencies by number of rows; empty of a service from before they were counted so."""
    parts = defaultdict[str, list[Sample]](list)
    for sample in samples:
        parts[sample.labels["rows"]].append(sample)
    seconds = {sample.labels["rows"]: sample.value for sample in samples if sample.name.endswith("_sum")}
    found = {rows: _buckets(part) for rows, part in parts.items()}
    return {rows: Times(seconds[rows], buckets, bounds) for rows, (bounds, buckets) in found.items()}


def _buckets(samples: Sequence[Sample]) -> tuple[Array, Array]:
    """Return the upper bounds and the count within each bucket."""
    rows = [(float(sample.labels["le"]), sample.value) for sample in samples if sample.name.endswith("_bucket")]
    bounds, cumulative = np.array(sorted(rows)).T
    assert bounds[-1] == inf
    return bounds, np.diff(cumulative, prepend=0)
