"""A real service under stress: crowds, slow and broken clients, a full disk, and every way to end."""

import asyncio
import contextlib
import json
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from live import Service, ask, call, command, memory, read_response, response, serving
from sample import ROOT

from delivery.service.app import App
from delivery.service.log import read


def raw(body: bytes, *headers: str) -> bytes:
    lines = ["POST /predict HTTP/1.1", "host: t", f"content-length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


@contextmanager
def connected(service: Service) -> Iterator[socket.socket]:
    with socket.create_connection(service.address, timeout=20) as line:
        yield line


def test_a_thousand_idle_connections_hold_up_nobody(service: Service, good: dict) -> None:
    lines = [socket.create_connection(service.address, timeout=20) for _ in range(1000)]
    try:
        assert ask(f"{service.url}/predict", good).status == 200
        lines[500].sendall(raw(json.dumps(good).encode()))
        assert response(lines[500])[0] == 200
    finally:
        for line in lines:
            line.close()


def test_slow_clients_hold_up_nobody(service: Service, good: dict) -> None:
    text = raw(json.dumps(good).encode())
    lines = [socket.create_connection(service.address, timeout=20) for _ in range(50)]
    try:
        for line in lines:
            line.sendall(text[:-5])
        assert ask(f"{service.url}/predict", good).status == 200
        for line in lines:
            line.sendall(text[-5:])
        assert {response(line)[0] for line in lines} == {200}
    finally:
        for line in lines:
            line.close()


def test_requests_in_one_packet_are_answered_in_order(service: Service, examples: list[dict]) -> None:
    with connected(service) as line:
        line.sendall(b"".join(raw(json.dumps(example["request"]).encode()) for example in examples))
        with line.makefile("rb") as file:
            got = [json.loads(read_response(file)[2])["prediction"] for _ in examples]
    np.testing.assert_allclose(got, [example["prediction"] for example in examples], rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    "garbage",
    [b"\x00\xff\x16\x03\x01\n\n", b"GET / HTTP/9.9\r\n\r\n", b"POST /predict HTTP/1.1\r\ncontent-length: -1\r\n\r\n"],
)
def test_what_is_no_http_is_refused_and_survived(service: Service, good: dict, garbage: bytes) -> None:
    with connected(service) as line:
        line.sendall(garbage)
        assert b" 400 " in line.recv(1000)
    assert ask(f"{service.url}/predict", good).status == 200


def test_a_huge_body_is_refused(service: Service, good: dict) -> None:
    big = b" " * 3_000_000
    with connected(service) as line:
        line.sendall(raw(big))
        assert response(line)[0] == 413
        line.sendall(raw(json.dumps(good).encode()))  # the connection goes on with the next request
        assert response(line)[0] == 200
    with connected(service) as line:
        line.sendall(raw(b"").replace(b"content-length: 0", b"content-length: 10000000000"))
        sent = 0
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            while sent < 50_000_000:
                sent += line.send(big)
        assert sent < 50_000_000
    assert ask(f"{service.url}/health/live").status == 200


def test_an_endless_chunked_body_is_stopped(service: Service) -> None:
    head = b"POST /predict HTTP/1.1\r\nhost: t\r\ntransfer-encoding: chunked\r\n\r\n"
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    with connected(service) as line:
        line.sendall(head)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for _ in range(800):
                line.sendall(chunk)
            pytest.fail("50 MB were taken")
    assert ask(f"{service.url}/health/live").status == 200


def test_clients_that_leave_early_leave_nothing_behind(service: Service, good: dict) -> None:
    text = raw(json.dumps(good).encode())
    for _ in range(50):
        with connected(service) as line:
            line.sendall(text[: len(text) // 2])
    for _ in range(50):
        with connected(service) as line:
            line.sendall(text)
    assert ask(f"{service.url}/predict", good).status == 200


def volley(service: Service, text: bytes, count: int) -> None:
    """`count` requests on one connection, a hundred at a time."""
    with connected(service) as line:
        for _ in range(count // 100):
            line.sendall(text * 100)
            left = 100
            while left:
                left -= line.recv(1 << 20).count(b"HTTP/1.1 ")


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc here to read the memory from")
def test_memory_stays_flat(exported: Path, good: dict, tmp_path: Path) -> None:
    """Good requests and refusals; benchmarks/serving.py does the same with 200,000."""
    with serving(exported, "--log", str(tmp_path)) as service:
        mixed = raw(json.dumps(good).encode()), raw(b'{"a": 1}')
        for text in mixed:
            volley(service, text, 4000)
        before = memory(service)
        for text in mixed:
            volley(service, text, 12000)
        assert memory(service) - before < 4


class Load:
    """Clients that ask until they are refused a connection; every answer and every loss is counted."""

    def __init__(self, service: Service, body: bytes, clients: int = 8):
        self.service, self.text = service, raw(body)
        self.answered: list[str] = []
        self.lost = 0
        self.some = threading.Event()
        self.threads = [threading.Thread(target=self._ask) for _ in range(clients)]
        for thread in self.threads:
            thread.start()

    def _ask(self) -> None:
        while True:
            try:
                line = socket.create_connection(self.service.address, timeout=20)
            except OSError:
                return
            with line:
                while True:
                    try:
                        line.sendall(self.text)
                        status, headers, _ = response(line)
                        assert status == 200
                    except (OSError, IndexError):
                        self.lost += 1
                        break
                    self.answered.append(headers["x-request-id"])
                    if len(self.answered) > 300:
                        self.some.set()
                    if headers.get("connection") == "close":
                        break

    def end(self) -> None:
        for thread in self.threads:
            thread.join(30)
            assert not thread.is_alive()


def test_term_in_mid_load_loses_no_request_and_no_line(exported: Path, good: dict, tmp_path: Path) -> None:
    with serving(exported, "--log", str(tmp_path), "--drain", "0.5") as service:
        load = Load(service, json.dumps(good).encode())
        assert load.some.wait(30)
        service.process.send_signal(signal.SIGTERM)
        load.end()
        assert service.process.wait(20) == 0
    # A connection may have been opened, and not yet accepted, in the moment the listener closed.
    assert load.lost <= len(load.threads)
    logged = {line.id for line in read(tmp_path)}
    assert logged >= set(load.answered)
    assert len(logged) == len(load.answered)


def test_kill_loses_at_most_the_last_second(exported: Path, good: dict, tmp_path: Path) -> None:
    with serving(exported, "--log", str(tmp_path)) as service:
        first = ask(f"{service.url}/predict", good).headers["x-request-id"]
        load = Load(service, json.dumps(good).encode(), clients=2)
        assert load.some.wait(30)
        end = time.monotonic() + 20
        while first not in {line.id for line in read(tmp_path)}:
            assert time.monotonic() < end
            time.sleep(0.05)
        killed = time.time()
        service.process.kill()
        load.end()
    lines = list(read(tmp_path))  # each of them whole
    assert lines
    missing = set(load.answered) - {line.id for line in lines}
    assert len(missing) < len(load.answered)
    assert killed - lines[-1].time < 10  # one second by design; the test's machine may be busy


def test_a_full_disk_costs_log_lines_and_no_request(exported: Path, good: dict, tmp_path: Path) -> None:
    with serving(exported, "--log", str(tmp_path), file_bytes=4000) as service:
        for _ in range(4):
            assert {ask(f"{service.url}/predict", good).status for _ in range(10)} == {200}
            metrics = ask(f"{service.url}/metrics").body.decode()
        service.process.send_signal(signal.SIGTERM)
        _, said = service.process.communicate(timeout=20)
    written, dropped = (
        float(metrics.split(f"\nprediction_log_{name}_total ")[1].split()[0]) for name in ("written", "dropped")
    )
    assert dropped > 0
    assert written + dropped == 40
    assert written == len(list(read(tmp_path)))
    assert "lines dropped so far" in said


def test_the_drain_is_seen_by_readiness(exported: Path, good: dict) -> None:
    with serving(exported, "--drain", "30") as service:
        with connected(service) as line:
            text = raw(json.dumps(good).encode())
            line.sendall(text)
            assert "connection" not in response(line)[1]
            service.process.send_signal(signal.SIGTERM)
            end = time.monotonic() + 20
            while ask(f"{service.url}/health/ready").status == 200:
                assert time.monotonic() < end
                time.sleep(0.02)
            assert ask(f"{service.url}/health/live").status == 200
            line.sendall(text)
            status, headers, _ = response(line)
            assert (status, headers["connection"]) == (200, "close")
        service.process.send_signal(signal.SIGTERM)  # the second one does not wait
        assert service.process.wait(20) == 0


def test_what_keeps_it_from_starting_is_one_line(exported: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for words, said in (
            ([*command(exported), "--port", port], "choose another with --port"),
            (command(tmp_path / "nothing"), "manifest.json is missing"),
        ):
            done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
            assert done.returncode == 1
            assert said in done.stderr
            assert len(done.stderr.splitlines()) == 1


def test_logs_are_json_lines(exported: Path) -> None:
    with serving(exported) as service:
        assert ask(f"{service.url}/health/ready").status == 200
        service.process.send_signal(signal.SIGTERM)
        _, said = service.process.communicate(timeout=20)
    lines = [json.loads(line) for line in said.splitlines()]
    assert any("draining" in line["message"] for line in lines)
    assert all({"time", "level", "logger", "message"} <= line.keys() for line in lines)


def test_the_rest_of_the_application_answers_in_the_same_form(service: Service) -> None:
    unknown = ask(f"{service.url}/nowhere")
    assert (unknown.status, unknown.headers["content-type"]) == (404, "application/problem+json")
    wrong = ask(f"{service.url}/version", b"")
    assert (wrong.status, wrong.headers["content-type"]) == (405, "application/problem+json")
    about = ask(f"{service.url}/version").json
    assert about["version"] == "7"
    assert about["runtime"] == "onnx"


def test_the_service_needs_none_of_the_pipeline() -> None:
    heavy = ("pandas", "mlflow", "dvc", "sklearn", "scipy", "skl2onnx", "onnx", "pyarrow", "matplotlib")
    code = f"import sys, delivery.service.__main__; print([name for name in {heavy} if name in sys.modules])"
    import sys

    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_scoring_in_process_keeps_no_request(app: App, good: dict) -> None:
    """Nothing but the recorder's queue grows, and a flush empties that."""

    async def some() -> Any:
        for _ in range(200):
            await call(app, good)

    asyncio.run(some())
    assert len(app.recorder.waiting) == 200
    app.recorder.flush()
    assert app.recorder.waiting == []
    assert app.recorder.waiting_bytes == 0
    assert app.predict.batch.waiting == []
