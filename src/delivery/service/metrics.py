"""Count what Prometheus scrapes, in bulk on the recorder's thread instead of within requests."""

from collections import Counter
from collections.abc import Iterator

import numpy as np
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from delivery.model.runtime import Model
from delivery.service.log import Event, Log
from problem import FEATURES

SECONDS = (0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5)
ROWS = (1, 2, 5, 10, 50, 100, 500, 1000, 5000)


class Histogram:
    """A histogram that takes many values at once."""

    def __init__(self, bounds: tuple[float, ...]):
        self.bounds = np.array(bounds)
        self.counts = np.zeros(len(bounds) + 1, dtype=np.int64)
        self.total = 0.0

    def add(self, values: list[float]) -> None:
        """Count the values."""
        buckets = np.searchsorted(self.bounds, values, side="left")  # a value equal to a bound counts below it
        self.counts += np.bincount(buckets, minlength=len(self.counts))
        self.total += float(np.sum(values))

    def family(self, name: str, text: str) -> HistogramMetricFamily:
        """Return the histogram as a Prometheus metric with `text` as its help."""
        labels = [f"{bound:g}" for bound in self.bounds] + ["+Inf"]
        buckets = list(zip(labels, np.cumsum(self.counts).astype(float).tolist(), strict=True))
        return HistogramMetricFamily(name, text, buckets=buckets, sum_value=self.total)


class Metrics(Collector):
    """The service's metrics. The recorder calls `add`, the endpoint counts in `refused`, a scrape calls `collect`."""

    def __init__(self, info: dict[str, str], model: Model, log: Log | None):
        self.info, self.log = info, log
        self.columns, self.dtype = model.manifest.columns, model.dtype
        self.categories, self.several = model.manifest.categories, len(model.manifest.classes) > 2
        self.seconds, self.rows, self.scores = (
            Histogram(SECONDS),
            Histogram(ROWS),
            Histogram(tuple(model.manifest.buckets)),
        )
        self.answered = 0
        self.refused: Counter[int] = Counter()
        self.missing = dict.fromkeys(FEATURES, 0)
        self.unknown = dict.fromkeys(self.categories, 0)

    def add(self, events: list[Event]) -> None:
        """Count answered requests, their scores, and their missing and unknown values."""
        if not events:
            return
        self.answered += len(events)
        self.seconds.add([event.seconds for event in events])
        self.rows.add([len(event.rows) for event in events])
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
        """Yield all metrics for a scrape."""
        requests = CounterMetricFamily("predict_requests", "requests to /predict by status", labels=["status"])
        for status, count in sorted(({200: self.answered} | self.refused).items()):
            requests.add_metric([str(status)], count)
        yield requests
        yield self.seconds.family("predict_seconds", "time from the request's head to its answer")
        yield self.rows.family("predict_rows", "rows per answered request")
        yield self.scores.family("predict_score", "scores given, of several classes the highest")
        yield _by_feature("feature_missing", "rows in which the feature was missing", self.missing)
        yield _by_feature("feature_unknown", "rows with a category that training never saw", self.unknown)
        info = GaugeMetricFamily("model_info", "what is being served, always 1", labels=list(self.info))
        info.add_metric(list(self.info.values()), 1)
        yield info
        if self.log:
            yield CounterMetricFamily("prediction_log_written", "requests logged", value=self.log.written)
            yield CounterMetricFamily("prediction_log_dropped", "requests not logged", value=self.log.dropped)


def _by_feature(name: str, text: str, counts: dict[str, int]) -> CounterMetricFamily:
    family = CounterMetricFamily(name, text, labels=["feature"])
    for feature, count in counts.items():
        family.add_metric([feature], count)
    return family
