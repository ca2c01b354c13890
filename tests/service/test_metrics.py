"""What Prometheus sees is what was asked and answered."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from exposed import parse, samples
from live import Service, ask, call

from delivery.service import recorder as recorder_module
from delivery.service.access import Tokens
from delivery.service.app import About, App
from delivery.service.log import read
from delivery.service.metrics import Histogram
from delivery.service.predict import Limits


@pytest.mark.parametrize(
    ("value", "counts"), [(0.5, [1, 0, 0]), (1.0, [1, 0, 0]), (1.5, [0, 1, 0]), (2.0, [0, 1, 0]), (9.0, [0, 0, 1])]
)
def test_a_bound_belongs_to_its_bucket(value: float, counts: list[int]) -> None:
    histogram = Histogram((1.0, 2.0))
    histogram.add([value])
    assert histogram.counts.tolist() == counts


def test_the_running_service_shows_them(service: Service, good: dict) -> None:
    before = parse(ask(f"{service.url}/metrics").body.decode()).get(("predict_requests_total", "200"), 0)
    for _ in range(3):
        assert ask(f"{service.url}/predict", good).status == 200
    after = parse(ask(f"{service.url}/metrics").body.decode())
    assert after["predict_requests_total", "200"] - before >= 3
    assert after["prediction_log_dropped_total", ""] == 0
    assert after["process_resident_memory_bytes", ""] > 1e6


def test_what_the_disk_does_not_take_in_time_is_counted_and_the_request_answered(
    exported: Path, good: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder_module, "WAITING_BYTES", 1000)
    app = App(exported, About(), Limits(), Tokens(), tmp_path)

    async def some() -> list[Any]:
        return [await call(app, good) for _ in range(10)]

    assert {answer.status for answer in asyncio.run(some())} == {200}
    seen = samples(app)
    kept = len(list(read(tmp_path)))
    assert 0 < kept < 10
    assert seen["prediction_log_written_total", ""] == kept
    assert seen["prediction_log_dropped_total", ""] == 10 - kept
    assert seen["predict_requests_total", "200"] == 10


def test_the_recorder_outlives_a_bad_batch(app: App, good: dict, monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    monkeypatch.setattr(recorder_module, "EVERY", 0.001)
    failed = recorder_module.threading.Event()

    def broken(events: object) -> None:
        failed.set()
        raise RuntimeError("no")

    monkeypatch.setattr(app.recorder.metrics, "add", broken)
    app.recorder.start()
    assert failed.wait(10)
    monkeypatch.undo()
    asyncio.run(call(app, good))
    app.recorder.stop()
    assert app.recorder.metrics.answered == 1
    assert "recorder" in caplog.text
