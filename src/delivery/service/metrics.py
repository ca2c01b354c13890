"""Count what Prometheus scrapes, in bulk on the recorder's thread instead of within requests."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from operator import attrgetter

import numpy as np
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from delivery.model.runtime import Model
from delivery.service import tolerance
from delivery.service.connection import REASONS
from delivery.service.log import Event, Log
from problem import FEATURES

CLIENT = attrgetter("client")
SECONDS = (0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5)
IGNORED = "request_unknown_fields", "rows with a field that the schema does not know and the service ignores"
ROWS = (1, 2, 5, 10, 50, 100, 500, 1000, 5000)
SIZES = tuple(2**power for power in range(14))  # largest number of rows of each size, for the latency by size


class Histogram:
    """A histogram that takes many values at once."""

    def __init__(self, bounds: tuple[float, ...]):
        self.bounds = np.array(bounds)
        self.counts = np.zeros(len(bounds) + 1, dtype=np.int64)
        self.total = 0.0

    def add(self, values: Sequence[float]) -> None:
        """Count the values."""
        buckets = np.searchsorted(self.bounds, values, side="left")  # a value equal to a bound counts below it
        self.counts += np.bincount(buckets, minlength=len(self.counts))
        self.total += float(np.sum(values))

    def family(self, name: str, text: str) -> HistogramMetricFamily:
        """Return the histogram as a Prometheus metric with `text` as its help."""
        labels = [f"{bound:g}" for bound in self.bounds] + ["+Inf"]
        buckets = list(zip(labels, np.cumsum(self.counts).astype(float).tolist(), strict=True))
        return HistogramMetricFamily(name, text, buckets=buckets, sum_value=self.total)


class BySize:
    """Histograms of the latency, one for each size of a request: its rows, to the next power of two."""

    def __init__(self) -> None:
        self.labels = ["1", *(f"{low + 1}-{high}" if high > low + 1 else f"{high}" for low, high in pairwise(SIZES))]
        self.labels.append(f"{SIZES[-1] + 1}+")
        self.counts = np.zeros((len(SIZES) + 1, len(SECONDS) + 1), dtype=np.int64)
        self.totals = np.zeros(len(SIZES) + 1)

    def add(self, rows: list[int], seconds: list[float]) -> None:
        """Count requests by their numbers of rows and their latencies."""
        sizes, buckets = np.searchsorted(SIZES, rows), np.searchsorted(SECONDS, seconds)
        np.add.at(self.counts, (sizes, buckets), 1)
        np.add.at(self.totals, sizes, seconds)

    def family(self, name: str, text: str) -> HistogramMetricFamily:
        """Return the histograms of the sizes that came, as a Prometheus metric with the label `rows`."""
        family = HistogramMetricFamily(name, text, labels=["rows"])
        bounds = [f"{bound:g}" for bound in SECONDS] + ["+Inf"]
        for size in np.flatnonzero(self.counts.sum(axis=1)).tolist():
            cumulative = np.cumsum(self.counts[size]).astype(float).tolist()
            family.add_metric([self.labels[size]], list(zip(bounds, cumulative, strict=True)), float(self.totals[size]))
        return family


class Metrics(Collector):
    """The service's metrics. The recorder calls `add`, the endpoint counts in `refused`, a scrape calls `collect`."""

    def __init__(self, info: dict[str, str], model: Model, log: Log | None, *, tolerant: bool = False):
        self.info, self.log, self.tolerant = info, log, tolerant
        self.columns, self.dtype = model.manifest.columns, model.dtype
        self.categories, self.several = model.manifest.categories, len(model.manifest.classes) > 2
        self.seconds, self.rows, self.scores = (
            Histogram(SECONDS),
            Histogram(ROWS),
            Histogram(tuple(model.manifest.buckets)),
        )
        self.by_size = BySize()
        self.answered = 0
        self.refused: Counter[int] = Counter()
        self.clients: Counter[tuple[str, int]] = Counter()  # by name and status, of the requests above that have a name
        self.ignored: Counter[str] = Counter()  # by name of an unknown field
        self.ended: Counter[str] = Counter(dict.fromkeys(REASONS, 0))
        self.missing = dict.fromkeys(FEATURES, 0)
        self.unknown = dict.fromkeys(self.categories, 0)

    def add(self, events: list[Event]) -> None:
        """Count answered requests, their scores, and their missing and unknown values."""
        if not events:
            return
        self.answered += len(events)
        for client, count in Counter(map(CLIENT, events)).items():
            if client:
                self.clients[client, 200] += count
        if self.tolerant:
            tolerance.count(self.ignored, (name for event in events for name in event.ignored))
        seconds, rows = [event.seconds for event in events], [len(event.rows) for event in events]
        self.seconds.add(seconds)
        self.rows.add(rows)
        self.by_size.add(rows, seconds)
        scores = [score for event in events for score in event.scores]
        self.scores.add([max(score) for score in scores] if self.several else scores)
        inputs: np.ndarray = np.frombuffer(b"".join([event.inputs for event in events]), self.dtype)
        absent = np.isnan(inputs.reshape(-1, len(self.columns))).sum(axis=0)
        for name, count in zip(self.columns, absent.tolist(), strict=True):
            unknown = self._unknown(name, events) if count and name in self.categories else 0
            self.missing[name] += count - unknown
            if unknown:
                self.unknown[name] += unknown

    def _unknown(self, name: str, events: list[Event]) -> int:
        """Return how many values are not a known category; once encoded they look like missing ones."""
        index, codes = FEATURES.index(name), self.categories[name]
        values = [row[index] for event in events for row in event.rows]
        return sum(value is not None and value not in codes for value in values)

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics for a scrape that may know the version and the clients."""
        yield self.requests(dict(self.clients))
        if self.tolerant:
            yield _by_feature(*IGNORED, dict(self.ignored), label="field")
        yield from self.public()
        info = GaugeMetricFamily("model_info", "what is being served, always 1", labels=list(self.info))
        info.add_metric(list(self.info.values()), 1)
        yield info

    def requests(self, clients: dict[tuple[str, int], int]) -> Metric:
        """Return the counts by status, and by client if there are any with a name."""
        text = "requests to /predict by status"
        requests = CounterMetricFamily("predict_requests", text, labels=["client", "status"] if clients else ["status"])
        for status, count in sorted(({200: self.answered} | self.refused).items()):
            named = {name: clients[name, status] for name, other in sorted(clients) if other == status}
            for name, own in ({"": count - sum(named.values())} | named).items():
                requests.add_metric([name, str(status)] if clients else [str(status)], own)
        return requests

    def public(self) -> Iterator[Metric]:
        """Yield the metrics that need no token, besides the counts of requests."""
        ended = CounterMetricFamily("connections_ended", "connections that the service ended", labels=["reason"])
        for reason, count in self.ended.items():
            ended.add_metric([reason], count)
        yield ended
        yield self.seconds.family("predict_seconds", "time from the request's head to its answer")
        yield self.by_size.family(
            "predict_seconds_by_rows", "the same by the request's number of rows, to the next power of two"
        )
        yield self.rows.family("predict_rows", "rows per answered request")
        yield self.scores.family("predict_score", "scores given, of several classes the highest")
        yield _by_feature("feature_missing", "rows in which the feature was missing", self.missing)
        yield _by_feature("feature_unknown", "rows with a category that training never saw", self.unknown)
        if self.log:
            yield CounterMetricFamily("prediction_log_written", "requests logged", value=self.log.written)
            yield CounterMetricFamily("prediction_log_dropped", "requests not logged", value=self.log.dropped)
            text = "files deleted because of their age or the log's size"
            yield CounterMetricFamily("prediction_log_deleted_files", text, value=self.log.deleted)


class Public(Collector):
    """The metrics for a scrape without a token: not the version, and no client's name, as `/version` tells neither."""

    def __init__(self, metrics: Metrics):
        self.metrics = metrics

    def collect(self) -> Iterator[Metric]:
        """Yield these metrics."""
        yield self.metrics.requests({})
        if self.metrics.tolerant:
            yield CounterMetricFamily(*IGNORED, value=sum(self.metrics.ignored.values()))
        yield from self.metrics.public()


def _by_feature(name: str, text: str, counts: dict[str, int], label: str = "feature") -> CounterMetricFamily:
    family = CounterMetricFamily(name, text, labels=[label])
    for feature, count in counts.items():
        family.add_metric([feature], count)
    return family
