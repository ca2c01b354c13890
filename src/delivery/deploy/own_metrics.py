"""A team's own metrics: PromQL queries with limits, asked of Prometheus while a version is compared or watched."""

from collections.abc import Callable

from msgspec import Struct

from delivery.adapters import prometheus
from delivery.core import params
from delivery.core.errors import Failure


class Answer(Struct, frozen=True):
    """What the metrics say of a version, in sentences."""

    worse: list[str] = []
    """Metrics beyond their limits."""
    unknown: list[str] = []
    """Metrics that have no value now, which must not pass for a good one."""


Ask = Callable[[], Answer]
"""Ask all metrics now."""


def none() -> Answer:
    """Return the answer of a team without metrics."""
    return Answer()


def of(settings: params.Deploy, environment: str, version: str, before: str) -> Ask:
    """Return how to ask the metrics about a version that takes over from the one `before`."""
    names = {"$version": version, "$before": before, "$environment": environment}

    def ask() -> Answer:
        answer = Answer([], [])
        for name, metric in settings.metrics.items():
            query = metric.query
            for placeholder, text in names.items():
                query = query.replace(placeholder, text)
            try:
                value = prometheus.value(settings.prometheus, query)
            except Failure as failure:
                answer.unknown.append(f"metric {name} is not known: {failure}")
                continue
            if value > metric.limit if metric.worse == "above" else value < metric.limit:
                answer.worse.append(f"metric {name} is {value:g}, {metric.worse} its limit {metric.limit:g}")
        return answer

    return ask
