"""The load gate: what it measures, what it refuses, and that a slow candidate is found whatever the machine does."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from live import Service
from test_contract import altered, spoiled

from delivery.core.errors import Failure
from delivery.core.params import LoadTest
from delivery.probe import loadtest

SETTINGS = LoadTest(users=4, seconds=2, max_p95_ms=5000, max_error_rate=0.0, min_rps=1, budget=2.0, rounds=3)
GOOD = {"requests": 1000, "failures": 0, "errors": {}, "error_rate": 0.0, "rps": 100.0, "p95_ms": 10.0}


def change(**values: Any) -> LoadTest:
    import msgspec

    return msgspec.structs.replace(SETTINGS, **values)


def test_quantiles_and_rates_are_of_all_groups() -> None:
    groups = [{"failures": 1, "times_ms": [1.0] * 95}, {"failures": 1, "times_ms": [9.0] * 5}]
    result = loadtest.measure(groups, seconds=4.0)
    assert (result["requests"], result["failures"], result["rps"], result["error_rate"]) == (100, 2, 25.0, 0.02)
    assert (result["p50_ms"], result["p99_ms"]) == (1.0, 9.0)


def test_nothing_measured_is_no_result() -> None:
    with pytest.raises(Failure, match="not one request"):
        loadtest.measure([], 1.0)


@pytest.mark.parametrize(
    ("result", "settings", "words"),
    [
        ({}, {}, None),
        ({"failures": 1, "error_rate": 0.001, "errors": {"status 500": 1}}, {}, "status 500"),
        ({"failures": 1, "error_rate": 0.001}, {"max_error_rate": 0.01}, None),
        ({"p95_ms": 50.1}, {"max_p95_ms": 50}, "max_p95_ms 50"),
        ({"rps": 99.0}, {"min_rps": 100}, "min_rps 100"),
    ],
)
def test_each_limit_is_a_gate(result: dict, settings: dict, words: str | None) -> None:
    broken = loadtest.verdict(GOOD | result, change(**settings))
    assert (broken == []) if words is None else (len(broken) == 1 and words in broken[0])


def test_a_real_run_against_a_real_service(service: Service, exported: Path) -> None:
    result = loadtest.run(service.url, exported, SETTINGS)
    assert loadtest.verdict(result, SETTINGS) == []
    assert result["requests"] > 20
    assert 0 < result["p50_ms"] <= result["p95_ms"] <= result["p99_ms"]


def test_a_wrong_prediction_is_a_failure(service: Service, exported: Path, tmp_path: Path) -> None:
    def wrong(text: str) -> str:
        examples = json.loads(text)
        return json.dumps([known | {"prediction": np.add(known["prediction"], 1).tolist()} for known in examples])

    other = altered(exported, tmp_path, "examples.json", wrong)
    result = loadtest.run(service.url, other, change(seconds=1))
    assert result["failures"] > 0
    assert "a prediction of another row, or a wrong one" in loadtest.verdict(result, SETTINGS)[0]


def test_a_slow_candidate_is_refused(service: Service, exported: Path) -> None:
    """A second hop makes it slower; the champion is the same service without it."""

    def same(verb: str, path: str, *answer: Any) -> tuple:
        return answer

    with spoiled(service, same) as slow:
        result = loadtest.compare((slow, exported), (service.url, exported), SETTINGS)
    assert len(result["ratios"]) == 3
    assert len(result["broken"]) == 1
    assert "times the champion's, the budget is 2" in result["broken"][0]


def test_a_service_is_not_slower_than_itself(service: Service, exported: Path) -> None:
    result = loadtest.compare((service.url, exported), (service.url, exported), SETTINGS)
    assert result["broken"] == []
    assert result["candidate"]["failures"] == 0


def test_no_service_and_no_examples_are_said_in_words(service: Service, exported: Path, tmp_path: Path) -> None:
    with pytest.raises(Failure, match="does not answer"):
        loadtest.run("http://127.0.0.1:9", exported, SETTINGS)
    with pytest.raises(Failure, match="examples.json is missing"):
        loadtest.run(service.url, tmp_path, SETTINGS)
