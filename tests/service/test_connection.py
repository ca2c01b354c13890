"""What a stranger can do with connections and headers: nothing that costs the service memory or time without a bound."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
from exposed import parse
from live import Answer, Service, ask, configured, memory, response, serving

from delivery.core import waiting

PROC = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc here to read the memory from")
CLOSED = (ConnectionResetError, BrokenPipeError)


@pytest.fixture(scope="module")
def strict(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with short times and room for 40 connections."""
    folder = configured(tmp_path_factory.mktemp("strict"), header_seconds=1, keep_alive_seconds=1, max_connections=40)
    with serving(exported, folder=folder) as running:
        yield running


@contextmanager
def connected(service: Service) -> Iterator[socket.socket]:
    with socket.create_connection(service.address, timeout=20) as line:
        yield line


def rest(line: socket.socket) -> bytes:
    """Everything that the service sends until it closes the connection."""
    parts = []
    with suppress(*CLOSED):
        while part := line.recv(65536):
            parts.append(part)
    return b"".join(parts)


def problem(answer: bytes) -> dict:
    """The problem document of one refusal, whose headers are checked."""
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *headers = head.decode().split("\r\n")
    assert "content-type: application/problem+json" in headers
    assert "connection: close" in headers
    assert f"content-length: {len(body)}" in headers
    document = json.loads(body)
    assert status.startswith(f"HTTP/1.1 {document['status']} ")
    assert f"x-request-id: {document['request_id']}" in headers
    return document


def ended(service: Service, reason: str) -> float:
    return parse(ask(f"{service.url}/metrics").body.decode())["connections_ended_total", reason]


def send(line: socket.socket, data: bytes) -> None:
    """Send until the service has had enough."""
    with suppress(*CLOSED):
        line.sendall(data)


@PROC
def test_connections_with_huge_headers_cost_no_memory(exported: Path, good: dict) -> None:
    """33 of them, of 10 MB each, took more than a container's 384 MB."""
    head = b"POST /predict HTTP/1.1\r\nhost: t\r\nx-large: " + b"a" * 10_000_000
    with serving(exported) as service, ExitStack() as stack:
        assert ask(f"{service.url}/predict", good).status == 200
        before = memory(service)
        lines = [stack.enter_context(connected(service)) for _ in range(33)]
        threads = [threading.Thread(target=send, args=(line, head)) for line in lines]
        highest = before
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            highest = max(highest, memory(service))
        assert max(highest, memory(service)) - before < 16
        assert ask(f"{service.url}/predict", good).status == 200
        assert ended(service, "head_size") == 33


HUGE = {
    "a large header": b"x-large: " + b"a" * 40_000 + b"\r\n",
    "the same name again": b"x-large: " + b"a" * 4000 + b"\r\n" + (b"x-large: " + b"a" * 4000 + b"\r\n") * 9,
    "many headers": b"a: b\r\n" * 101,
}


@pytest.mark.parametrize("headers", HUGE.values(), ids=HUGE.keys())
@pytest.mark.parametrize("complete", [True, False])
def test_large_headers_get_431(service: Service, good: dict, headers: bytes, complete: bool) -> None:
    with connected(service) as line:
        line.sendall(b"GET /health/live HTTP/1.1\r\nhost: t\r\n" + headers + (b"\r\n" if complete else b"x"))
        refusal = problem(rest(line))
    assert (refusal["status"], refusal["title"]) == (431, "Request Header Fields Too Large")
    assert "32768 bytes" in refusal["detail"]
    assert ask(f"{service.url}/predict", good).status == 200


def test_a_long_request_line_gets_431(service: Service) -> None:
    with connected(service) as line:
        line.sendall(b"GET /" + b"a" * 40_000)
        assert problem(rest(line))["status"] == 431


def test_headers_below_the_limit_are_accepted(service: Service, good: dict) -> None:
    body = json.dumps(good).encode()
    lines = b"".join(b"x-%d: %b\r\n" % (number, b"a" * 320) for number in range(90))
    with connected(service) as line:
        line.sendall(b"POST /predict HTTP/1.1\r\nconnection: close\r\ncontent-length: %d\r\n" % len(body))
        for part in (lines[:9000], lines[9000:], b"\r\n" + body):
            time.sleep(0.05)
            line.sendall(part)
        assert rest(line).startswith(b"HTTP/1.1 200 OK")


@PROC
@pytest.mark.parametrize("path", ["/predict", "/health/live"])
def test_a_huge_trailer_costs_no_memory(service: Service, path: str) -> None:
    before = memory(service)
    chunked = f"POST {path} HTTP/1.1\r\nhost: t\r\ntransfer-encoding: chunked\r\n\r\n1\r\n \r\n0\r\n".encode()
    with connected(service) as line:
        line.sendall(chunked)
        send(line, b"x-large: " + b"a" * 50_000_000)
        answer = rest(line)
        assert b"HTTP/1.1 405 " in answer if path == "/health/live" else problem(answer)["status"] == 431
    assert memory(service) - before < 16


def test_many_small_chunks_are_not_mistaken_for_a_trailer(service: Service, good: dict) -> None:
    body = json.dumps(good).encode() + b" " * 40_000
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body)
    with connected(service) as line:
        line.sendall(b"POST /predict HTTP/1.1\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n")
        line.sendall(chunks + b"0\r\n\r\n")
        assert rest(line).startswith(b"HTTP/1.1 200 OK")


def test_requests_that_follow_a_large_body_are_not_counted_with_it(service: Service, good: dict) -> None:
    body = json.dumps(good).encode()
    first = b"POST /predict HTTP/1.1\r\ncontent-length: %d\r\n\r\n" % (len(body) + 100_000) + body + b" " * 100_000
    second = b"POST /predict HTTP/1.1\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(body) + body
    with connected(service) as line:
        line.sendall(first + second[:20])
        time.sleep(0.1)
        line.sendall(second[20:])
        assert rest(line).count(b"HTTP/1.1 200 OK") == 2


def test_silent_connections_are_ended(strict: Service) -> None:
    before = ended(strict, "silent")
    with ExitStack() as stack:
        lines = [stack.enter_context(connected(strict)) for _ in range(20)]
        start = time.monotonic()
        assert {rest(line) for line in lines} == {b""}
        assert time.monotonic() - start < 9  # less than the usual ten seconds
    assert ended(strict, "silent") - before == 20


def drip(line: socket.socket, data: bytes) -> float:
    """Send a byte at a time, four in a second; return the seconds until the service ends the connection.

    The bounds of the callers are below what all bytes take, and leave a busy machine the rest.
    """
    start = time.monotonic()
    line.settimeout(0.25)
    for byte in data:
        with suppress(*CLOSED):
            line.sendall(bytes([byte]))
        try:
            if not line.recv(1, socket.MSG_PEEK):
                break
        except TimeoutError:
            continue
        except CLOSED:
            break
        break
    line.settimeout(20)
    return time.monotonic() - start


def test_dripping_headers_get_408(strict: Service) -> None:
    before = ended(strict, "head_time")
    with connected(strict) as line:
        assert drip(line, b"GET /health/live HTTP/1.1\r\nhost: t\r\n" + b"x" * 60) < 15
        refusal = problem(rest(line))
        assert refusal["status"] == 408
        assert "within 1 s" in refusal["detail"]
    assert ended(strict, "head_time") - before == 1


def test_dripping_blank_lines_keep_no_connection(strict: Service) -> None:
    with connected(strict) as line:
        assert drip(line, b"\r\n" * 40) < 15
    with connected(strict) as line:  # nor after an answer
        line.sendall(b"GET /health/live HTTP/1.1\r\nhost: t\r\n\r\n")
        assert response(line)[0] == 200
        assert drip(line, b"\r\n" * 40) < 15


def test_an_idle_connection_is_ended_after_its_answer(strict: Service) -> None:
    with connected(strict) as line:
        line.sendall(b"GET /health/live HTTP/1.1\r\nhost: t\r\n\r\n")
        start = time.monotonic()
        assert rest(line).startswith(b"HTTP/1.1 200 OK")
        assert time.monotonic() - start < 5


def test_a_body_that_nobody_waits_for_ends_its_connection(service: Service) -> None:
    """The answer does not need the body, so that no endpoint's clock runs."""
    with connected(service) as line:
        line.sendall(b"POST /health/live HTTP/1.1\r\nhost: t\r\ncontent-length: 1000\r\n\r\n")
        assert response(line)[0] == 405
        assert 8 < drip(line, b" " * 80) < 18


def unfinished(good: dict) -> bytes:
    """A prediction but for the last byte of its body, for which the service waits longer than a test takes."""
    body = json.dumps(good).encode()
    return b"POST /predict HTTP/1.1\r\nhost: t\r\ncontent-length: %d\r\n\r\n" % (len(body) + 1) + body


def test_further_connections_get_503(strict: Service, good: dict) -> None:
    before, answers = ended(strict, "too_many"), list[Answer | None]()

    def full() -> bool:
        try:
            answers.append(ask(f"{strict.url}/predict", good))
        except OSError:  # only closed
            answers.append(None)
        return answers[-1] is None or answers[-1].status != 200

    with ExitStack() as stack:
        for _ in range(40):
            stack.enter_context(connected(strict)).sendall(unfinished(good))
        assert waiting.until(full, 30)
        refused = answers[-1]
        assert refused
        assert (refused.status, refused.headers["retry-after"]) == (503, "1")
        assert refused.headers["content-type"] == "application/problem+json"
        flood = [stack.enter_context(connected(strict)) for _ in range(50)]
        assert sum(rest(line) == b"" for line in flood) >= 35  # beyond a quarter more they are only closed
    assert waiting.until(lambda: not full(), 30)
    turned_away = len(flood) + sum(answer is None or answer.status == 503 for answer in answers)
    assert ended(strict, "too_many") - before == turned_away


def test_a_full_service_still_answers_health_probes(strict: Service, good: dict) -> None:
    """A probe that gets 503 has an orchestrator restart a service that only has much to do."""
    before = ended(strict, "too_many")
    with ExitStack() as stack:
        for _ in range(40):
            stack.enter_context(connected(strict)).sendall(unfinished(good))
        assert waiting.until(lambda: ask(f"{strict.url}/predict", good).status == 503, 30)
        silent, slow = (stack.enter_context(connected(strict)) for _ in range(2))
        slow.sendall(b"GET /health/ready HTTP/1.1\r\nhost:")
        for path in ("/health/live", "/health/ready"):
            assert ask(f"{strict.url}{path}").status == 200
        with connected(strict) as line:
            line.sendall(b"GET /health/ready HTTP/1.1\r\nhost: t\r\n\r\n" * 2)
            assert rest(line).count(b"HTTP/1.1 ") == 1, "a surplus connection has one probe answered"
        assert ask(f"{strict.url}/predict", good).status == 503
        for line in (silent, slow):
            assert problem(rest(line))["detail"] == "too many connections; come back later"
    assert waiting.until(lambda: ask(f"{strict.url}/predict", good).status == 200, 30)
    assert ended(strict, "too_many") - before >= 4


UPGRADES = {
    "Java": "POST /predict HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nContent-Length: {size}\r\nHost: t\r\n"
    "HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\nUpgrade: h2c\r\nUser-Agent: Java-http-client/17.0.9\r\n"
    "Content-Type: application/json\r\n\r\n",
    "curl": "POST /predict HTTP/1.1\r\nHost: t\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\n"
    "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n"
    "Content-Type: application/json\r\nContent-Length: {size}\r\n\r\n",
    "WebSocket": "POST /predict HTTP/1.1\r\nConnection: keep-alive, upgrade\r\nUPGRADE: websocket\r\n"
    "Content-Length: {size}\r\n\r\n",
}


@pytest.mark.parametrize("head", UPGRADES.values(), ids=UPGRADES.keys())
@pytest.mark.parametrize("apart", [True, False])
def test_a_request_to_upgrade_is_answered_in_http_1(service: Service, good: dict, head: str, apart: bool) -> None:
    body = json.dumps(good).encode()
    text = head.format(size=len(body)).encode()
    with connected(service) as line:
        for _ in range(3):  # the connection stays usable
            if apart:
                line.sendall(text)
                time.sleep(0.05)
                line.sendall(body)
            else:
                line.sendall(text + body)
            status, _, answer = response(line)
            assert status == 200
            assert answer.startswith(b'{"prediction":')


def test_requests_to_upgrade_in_one_packet_are_all_answered(service: Service, good: dict) -> None:
    body = json.dumps(good).encode()
    text = UPGRADES["Java"].format(size=len(body)).encode() + body
    plain = b"POST /predict HTTP/1.1\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(body) + body
    with connected(service) as line:
        line.sendall(plain.replace(b"connection: close", b"host: t") + text * 2000 + plain)
        assert rest(line).count(b'{"prediction":') == 2002


def test_a_request_to_upgrade_without_a_body_is_answered(service: Service) -> None:
    with connected(service) as line:
        line.sendall(b"GET /health/live HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
        assert response(line)[::2] == (200, b'{"status":"live"}')


MALFORMED = {
    "no HTTP": b"\x00\xff\x16\x03\x01\n\n",
    "a version to come": b"GET / HTTP/9.9\r\n\r\n",
    "a negative length": b"POST /predict HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
    "a tunnel": b"CONNECT t:443 HTTP/1.1\r\nhost: t\r\n\r\n",
    "a broken chunk": b"POST /predict HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    "an upgrade to a broken chunk": b"POST /predict HTTP/1.1\r\nconnection: upgrade\r\nupgrade: h2c\r\n"
    b"transfer-encoding: chunked\r\n\r\nzz\r\n",
}


@pytest.mark.parametrize("text", MALFORMED.values(), ids=MALFORMED.keys())
def test_what_is_no_http_gets_a_problem_document(service: Service, text: bytes) -> None:
    with connected(service) as line:
        line.sendall(text)
        assert problem(rest(line))["status"] == 400


def test_a_request_before_a_malformed_one_gets_its_answer(service: Service, good: dict) -> None:
    body = json.dumps(good).encode()
    with connected(service) as line:
        line.sendall(b"POST /predict HTTP/1.1\r\ncontent-length: %d\r\n\r\n" % len(body) + body + b"\x00\x00\x00")
        answer = rest(line)
    assert answer.count(b"HTTP/1.1 ") == 1
    assert answer.startswith(b"HTTP/1.1 200 OK")
