"""The load test: its measurements and limits, and that it finds a slow candidate on a busy machine."""

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from live import Service
from msgspec.structs import replace
from test_contract import altered, spoiled

from delivery.core.errors import Failure
from delivery.core.params import LoadTest
from delivery.probe import loadtest
from delivery.probe.loadtest import Group, Load

SETTINGS = LoadTest(users=4, seconds=2, max_p95_ms=5000, max_error_rate=0.0, min_rps=1, budget=2.0, rounds=3)
GOOD = Load(requests=1000, failures=0, rps=100.0, error_rate=0.0, p50_ms=5.0, p95_ms=10.0, p99_ms=20.0)


def change(**values: Any) -> LoadTest:
    return replace(SETTINGS, **values)


def test_quantiles_and_rates_cover_all_groups() -> None:
    groups = [Group(0, 1, 1, [1.0] * 95), Group(0, 2, 1, [9.0] * 5)]
    result = loadtest.measure(groups, seconds=4.0)
    assert (result.requests, result.failures, result.rps, result.error_rate) == (100, 2, 25.0, 0.02)
    assert (result.p50_ms, result.p99_ms) == (1.0, 9.0)


def test_a_run_without_requests_fails() -> None:
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
    broken = loadtest.verdict(replace(GOOD, **result), change(**settings))
    assert (broken == []) if words is None else (len(broken) == 1 and words in broken[0])


def test_a_real_run_against_a_real_service(service: Service, exported: Path) -> None:
    result = loadtest.run(service.url, exported, SETTINGS)
    assert loadtest.verdict(result, SETTINGS) == []
    assert result.requests > 20
    assert 0 < result.p50_ms <= result.p95_ms <= result.p99_ms


def test_a_wrong_prediction_is_a_failure(service: Service, exported: Path, tmp_path: Path) -> None:
    def wrong(text: str) -> str:
        examples = json.loads(text)
        return json.dumps([known | {"prediction": np.add(known["prediction"], 1).tolist()} for known in examples])

    other = altered(exported, tmp_path, "examples.json", wrong)
    result = loadtest.run(service.url, other, change(seconds=1))
    assert result.failures > 0
    assert "a prediction of another row, or a wrong one" in loadtest.verdict(result, SETTINGS)[0]


def test_a_slow_candidate_is_refused(service: Service, exported: Path) -> None:
    """A proxy makes it slower, by more than a busy machine does; the champion is the same service without it."""

    def late(verb: str, path: str, *answer: Any) -> tuple:
        time.sleep(0.2)
        return answer

    with spoiled(service, late) as slow:
        result = loadtest.compare((slow, exported), (service.url, exported), SETTINGS)
    assert len(result.ratios) == 3
    assert len(result.broken) == 1
    assert "times the champion's, the budget is 2" in result.broken[0]


def test_a_service_is_not_slower_than_itself(service: Service, exported: Path) -> None:
    rounds = change(rounds=9)  # whose median a busy machine moves less
    result = loadtest.compare((service.url, exported), (service.url, exported), rounds)
    assert result.broken == ()
    assert result.candidate.failures == 0


def test_a_missing_service_or_example_file_is_named(service: Service, exported: Path, tmp_path: Path) -> None:
    with pytest.raises(Failure, match="does not answer"):
        loadtest.run("http://127.0.0.1:9", exported, SETTINGS)
    with pytest.raises(Failure, match="examples.json is missing"):
        loadtest.run(service.url, tmp_path, SETTINGS)
