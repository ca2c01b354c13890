"""What Prometheus sees is what was asked and answered."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from exposed import parse, samples
from live import Service, ask, call, serving
from prometheus_client.parser import text_string_to_metric_families

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


def test_requests_are_counted_and_logged_by_client(exported: Path, good: dict, tmp_path: Path) -> None:
    environment = {"SERVE_TOKENS": "billing:one,web:two,three"}
    with serving(exported, "--log", str(tmp_path), **environment) as service:
        for token, count in {"one": 3, "two": 2, "three": 1}.items():
            for _ in range(count):
                assert ask(f"{service.url}/predict", good, authorization=f"Bearer {token}").status == 200
        assert ask(f"{service.url}/predict", b"{", authorization="Bearer two").status == 400
        assert ask(f"{service.url}/predict", good).status == 401
        whole = ask(f"{service.url}/metrics", authorization="Bearer one").body.decode()
        seen = {
            (sample.labels["client"], sample.labels["status"]): sample.value
            for family in text_string_to_metric_families(whole)
            for sample in family.samples
            if sample.name == "predict_requests_total"
        }
        assert {key: value for key, value in seen.items() if value} == {
            ("billing", "200"): 3,
            ("web", "200"): 2,
            ("", "200"): 1,
            ("web", "400"): 1,
            ("", "401"): 1,
        }
        assert "model_info{" in whole
        for headers in ({}, {"authorization": "Bearer wrong"}):
            public = ask(f"{service.url}/metrics", **headers).body.decode()
            asked = parse(public)
            assert [asked["predict_requests_total", status] for status in ("200", "400", "401")] == [6, 1, 1]
            about = ask(f"{service.url}/version", authorization="Bearer one").json
            for told in ("billing", "web", about["version"], about["model_sha256"], "model_info", "python_info"):
                assert told not in public
    clients = [line.client for line in read(tmp_path)]
    assert clients == ["billing"] * 3 + ["web"] * 2 + [""]


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


def test_a_line_is_logged_even_if_it_cannot_be_counted(
    exported: Path, good: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = App(exported, About(), Limits(), Tokens(), tmp_path)

    def broken(events: object) -> None:
        raise RuntimeError("no")

    monkeypatch.setattr(app.recorder.metrics, "add", broken)
    asyncio.run(call(app, good))
    with pytest.raises(RuntimeError):
        app.recorder.flush()
    assert len(list(read(tmp_path))) == 1


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
