"""A team's own metrics: within the limit, beyond it, or not known."""

import pytest

from delivery.adapters import prometheus
from delivery.core import params
from delivery.core.errors import Failure
from delivery.deploy import own_metrics
from delivery.deploy.own_metrics import Answer

HEAD = 'fetch: {until: "2013-05"}\ngate: {floors: {}}\n'


def asked(monkeypatch: pytest.MonkeyPatch, number: float, **metric: object) -> Answer:
    monkeypatch.setattr(prometheus, "value", lambda address, query: number)
    metrics = {"bookings": params.Metric(**({"query": "up", "limit": 0.5} | metric))}  # type: ignore[arg-type]
    return own_metrics.of(params.Deploy(prometheus="http://metrics", metrics=metrics), "staging", "2", "1")()


@pytest.mark.parametrize(
    ("number", "worse", "words"),
    [
        (0.5, "above", []),
        (0.51, "above", ["metric bookings is 0.51, above its limit 0.5"]),
        (0.49, "above", []),
        (0.5, "below", []),
        (0.51, "below", []),
        (0.49, "below", ["metric bookings is 0.49, below its limit 0.5"]),
    ],
)
def test_the_limit_itself_is_good(number: float, worse: str, words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert asked(monkeypatch, number, worse=worse) == Answer(words)


def test_one_metric_that_is_not_known_does_not_hide_another(monkeypatch: pytest.MonkeyPatch) -> None:
    def value(address: str, query: str) -> float:
        if query == "gone":
            raise Failure("http://metrics does not answer (refused)")
        return 9

    monkeypatch.setattr(prometheus, "value", value)
    metrics = {"a": params.Metric("gone", 1), "b": params.Metric("up", 1)}
    settings = params.Deploy(prometheus="http://metrics", metrics=metrics)
    assert own_metrics.of(settings, "staging", "2", "1")() == Answer(
        ["metric b is 9, above its limit 1"], ["metric a is not known: http://metrics does not answer (refused)"]
    )


def test_without_metrics_nothing_is_asked() -> None:
    assert own_metrics.of(params.Deploy(), "staging", "2", "1")() == own_metrics.none() == Answer()


@pytest.mark.parametrize(
    ("deploy", "words"),
    [
        ("{metrics: {bookings: {query: up, limit: 1}}}", "metrics need the address of a prometheus"),
        ("{prometheus: 'ftp://here'}", "deploy.prometheus"),
        ("{prometheus: 'http://name:secret@here'}", "deploy.prometheus"),
        ("{prometheus: 'http://here', metrics: {bookings: {query: up}}}", "limit"),
        ("{prometheus: 'http://here', metrics: {bookings: {query: up, limit: 1, worse: over}}}", "worse"),
    ],
)
def test_settings_that_could_not_be_asked_are_refused(deploy: str, words: str) -> None:
    with pytest.raises(Failure, match=words):
        params.parse(f"{HEAD}deploy: {deploy}\n")
