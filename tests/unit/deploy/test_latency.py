"""Two versions are compared on requests of the same size, whatever sizes their clients happened to send."""

from types import SimpleNamespace

import numpy as np
import pytest
from msgspec.structs import replace
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from delivery.core import params
from delivery.core.errors import Failure
from delivery.deploy import canary
from delivery.deploy.targets import counts, latency
from delivery.deploy.targets.counts import Counts
from delivery.deploy.targets.latency import Times
from delivery.service.metrics import SECONDS, BySize, Histogram

SETTINGS = params.Canary(requests=100, seconds=60, max_slower=1.5, slower_ms=2.0)
BOUNDS = np.array([0.001, 0.01, 0.1, 1.0, np.inf])
NONE = np.zeros(0)


def times(number: float, ms: float) -> Times:
    buckets = np.eye(len(BOUNDS))[int(np.searchsorted(BOUNDS, ms / 1e3))] * number
    return Times(number * ms / 1e3, buckets, BOUNDS)


def seen(**sizes: tuple[float, float]) -> Counts:
    """Counts of requests: the number and the latency of those with few rows and of those with many."""
    each = {size: times(*figures) for size, figures in sizes.items()}
    whole = latency.total(each.values())
    return Counts(int(whole.number), 0, whole.seconds, whole.buckets, BOUNDS, NONE, NONE, {}, each)


def test_a_version_with_larger_requests_is_not_slower() -> None:
    old, new = seen(few=(900, 2), many=(100, 50)), seen(few=(100, 2), many=(900, 50))
    assert new.mean_ms > 6 * old.mean_ms
    assert canary.slower(new, old, SETTINGS) == []
    blind = canary.slower(replace(new, sizes={}), replace(old, sizes={}), SETTINGS)
    assert [line.partition(" ")[0] for line in blind] == ["mean", "p95"]


def test_smaller_requests_do_not_hide_a_slower_version() -> None:
    old, new = seen(few=(100, 5), many=(900, 50)), seen(few=(960, 5), many=(40, 200))
    assert new.mean_ms < old.mean_ms
    assert canary.slower(replace(new, sizes={}), replace(old, sizes={}), SETTINGS) == []
    assert [line.partition(" ")[0] for line in canary.slower(new, old, SETTINGS)] == ["mean", "p95"]


def test_the_weights_by_hand() -> None:
    """100 and 300 requests of one size weigh 75, 300 and 100 of another 75, and one that came to one side nothing."""
    new, old = latency.standardised(
        seen(a=(100, 1), b=(300, 3), c=(50, 9)).sizes, seen(a=(300, 2), b=(100, 4), d=(9, 9)).sizes
    )
    assert (new.number, new.mean_ms) == (150, pytest.approx(2))
    assert (old.number, old.mean_ms) == (150, pytest.approx(3))


def test_only_requests_of_the_same_size_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both have answered 500 requests; those that can be compared are too few, so the canary holds."""
    slept: list[float] = []
    clock = SimpleNamespace(sleep=slept.append, monotonic=lambda: sum(slept))
    monkeypatch.setattr(canary, "time", clock)
    old, new = seen(few=(500, 5), many=(20, 5)), seen(many=(500, 5))
    assert canary.comparable(new, old) == 20
    assert canary.comparable(replace(new, sizes={}), old) == 500
    looks = iter([(seen(many=(0, 5)), seen(many=(0, 5)))] + [(old, new)] * 1000)
    target = SimpleNamespace(environment="staging", shift=int, counts=looks.__next__, choice=str)
    with pytest.raises(
        Failure, match="only 20 of 100 requests of the same number of rows came to both in 120 s, so nothing"
    ):
        canary.step(target, 50, replace(SETTINGS, hold_seconds=60))
    assert canary.slower(seen(few=(9, 900)), seen(many=(9, 1)), SETTINGS) == [], "nothing to compare"


class Page(Collector):
    """A service's page after some requests."""

    def __init__(self, rows: list[int], seconds: list[float], sized: bool = True):
        self.sized, self.by_size, self.whole, self.scores = sized, BySize(), Histogram(SECONDS), Histogram((0.5,))
        self.by_size.add(rows, seconds)
        self.whole.add(seconds)

    def collect(self) -> list[Metric]:
        sized = [self.by_size.family("predict_seconds_by_rows", "by rows")] if self.sized else []
        requests = Metric("predict_requests", "requests", "counter")
        requests.add_sample("predict_requests_total", {"status": "200"}, self.whole.counts.sum())
        return [
            requests,
            self.whole.family("predict_seconds", "all"),
            *sized,
            self.scores.family("predict_score", "scores"),
        ]

    def read(self) -> Counts:
        registry = CollectorRegistry()
        registry.register(self)
        return counts.by_service(generate_latest(registry).decode())


def test_a_page_of_metrics_gives_the_sizes_of_its_requests() -> None:
    rows, seconds = [1, 1, 2, 3, 4, 5, 8, 9, 1000, 9000], [0.0001 * number for number in range(1, 11)]
    found = Page(rows, seconds).read()
    number = {size: part.number for size, part in found.sizes.items()}
    assert number == {"1": 2, "2": 1, "3-4": 2, "5-8": 2, "9-16": 1, "513-1024": 1, "8193+": 1}
    assert found.sizes["3-4"].mean_ms == pytest.approx(0.45)
    assert latency.total(found.sizes.values()).seconds == pytest.approx(found.seconds)
    assert latency.total(found.sizes.values()).buckets.tolist() == found.times.tolist()


def test_a_version_from_before_sizes_were_counted_is_compared_as_a_whole() -> None:
    old, new = Page([1] * 90, [0.001] * 90, sized=False).read(), Page([1] * 90, [0.02] * 90).read()
    assert old.sizes == {}
    assert canary.slower(new, old, SETTINGS) == [
        "mean 20.00 ms against 1.00 ms (max_slower 1.5)",
        "p95 24.25 ms against 0.97 ms (max_slower 1.5)",
    ]


def test_sizes_since_a_moment_and_of_several_replicas() -> None:
    before, after = Page([1, 1], [0.001, 0.002]).read(), Page([1, 1, 1, 20], [0.001, 0.002, 0.003, 0.004]).read()
    since = after.since(before).sizes
    assert {size: (part.number, pytest.approx(part.mean_ms)) for size, part in since.items()} == {
        "1": (1, pytest.approx(3)),
        "17-32": (1, pytest.approx(4)),
    }
    both = counts.total([before, after]).sizes
    assert {size: part.number for size, part in both.items()} == {"1": 5, "17-32": 1}
