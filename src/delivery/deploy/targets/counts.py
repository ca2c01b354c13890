"""What a slot did since a moment, from the proxy's counters and the service's own."""

import urllib.request
from math import inf

import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from prometheus_client.parser import text_string_to_metric_families

from delivery.core.errors import Failure
from delivery.deploy.targets import proxy, slots
from delivery.deploy.targets.host import Host
from delivery.deploy.targets.state import Slot

FAILED = ("hrsp_5xx", "econ", "eresp", "wretr", "wredis")
ANSWERED = ("hrsp_1xx", "hrsp_2xx", "hrsp_3xx", "hrsp_4xx", "hrsp_5xx")


class Counts(Struct, frozen=True):
    """Cumulative; `since` gives what came between two of them."""

    requests: int
    errors: int  # by the proxy: answers of 500 and more, connections refused or lost
    seconds: float  # by the service, over its answered predictions
    times: np.ndarray  # of them, per bucket
    bounds: np.ndarray
    scores: np.ndarray
    score_bounds: np.ndarray  # of the model: another one may have others

    def since(self, before: "Counts") -> "Counts":
        """A service that has started anew counts from nothing."""
        if self.requests < before.requests or self.times.sum() < before.times.sum():
            return self
        return Counts(
            self.requests - before.requests,
            self.errors - before.errors,
            self.seconds - before.seconds,
            self.times - before.times,
            self.bounds,
            self.scores - before.scores,
            self.score_bounds,
        )

    @property
    def predictions(self) -> int:
        return int(self.times.sum())

    @property
    def mean_ms(self) -> float:
        return 1e3 * self.seconds / max(self.predictions, 1)

    def quantile_ms(self, share: float) -> float:
        """Straight within a bucket; what lies beyond the last bound counts as that."""
        total = np.concatenate([[0], np.cumsum(self.times)])
        bounds = np.concatenate([[0], self.bounds])
        bounds[-1] = bounds[-2]
        return 1e3 * float(np.interp(share * total[-1], total, bounds))


def of(there: Host, slot: Slot) -> Counts:
    """Of a slot: requests and errors as the proxy saw them. Raises Failure when proxy or service do not answer."""
    row = proxy.counters(there.folder)[slot.name]
    number = {name: int(row[name] or 0) for name in {*FAILED, *ANSWERED}}
    try:
        with urllib.request.urlopen(f"{slots.url(slot)}/metrics", timeout=10) as reply:  # noqa: S310  our own
            seen = by_service(reply.read().decode())
    except OSError as error:
        raise Failure(f"version {slot.version} does not show its metrics ({error})") from None
    answered, failed = (sum(number[name] for name in names) for names in (ANSWERED, FAILED))
    return replace(seen, requests=answered + failed - number["hrsp_5xx"], errors=failed)


def by_service(text: str) -> Counts:
    """Of a service by its own metrics alone: what never reached it is not among the errors."""
    samples = {family.name: family.samples for family in text_string_to_metric_families(text)}
    score_bounds, scores = _buckets(samples["predict_score"])
    bounds, times = _buckets(samples["predict_seconds"])
    seconds = next(sample.value for sample in samples["predict_seconds"] if sample.name.endswith("_sum"))
    asked = {s.labels["status"]: int(s.value) for s in samples["predict_requests"] if s.name.endswith("_total")}
    failed = sum(count for status, count in asked.items() if status.startswith("5"))
    return Counts(sum(asked.values()), failed, seconds, times, bounds, scores, score_bounds)


def total(seen: list[Counts]) -> Counts:
    """Of several replicas. Raises Failure where there is none."""
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
    )


def _buckets(samples: list) -> tuple[np.ndarray, np.ndarray]:
    """Bounds, and the count within each."""
    found = [(float(s.labels["le"]), s.value) for s in samples if s.name.endswith("_bucket")]
    bounds, total = np.array(sorted(found)).T
    assert bounds[-1] == inf
    return bounds, np.diff(total, prepend=0)
