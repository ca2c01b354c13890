"""What Prometheus answers: one number, or a reason why there is none. The server here says what the real one was seen to say."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from answering import answering

from delivery.adapters import prometheus
from delivery.core.errors import Failure
from delivery.deploy.targets.loopback import free_port


class Handler(BaseHTTPRequestHandler):
    """Answers as the test says, and keeps the query."""

    def do_GET(self) -> None:
        server: Any = self.server
        parts = urlsplit(self.path)
        server.asked.append((parts.path, parse_qs(parts.query)["query"]))
        status, body = server.answer
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def serving() -> Iterator[Any]:
    server: Any = HTTPServer(("127.0.0.1", 0), Handler)
    with answering(server) as server.url:
        server.asked = []
        yield server


def success(kind: str, result: Any) -> bytes:
    return json.dumps({"status": "success", "data": {"resultType": kind, "result": result}}).encode()


def one(number: str) -> dict[str, Any]:
    return {"metric": {}, "value": [1795880000.1, number]}


@pytest.mark.parametrize(
    ("answer", "number"),
    [
        (success("vector", [one("0.25")]), 0.25),
        (success("scalar", [1795880000.1, "7"]), 7),
        (success("vector", [one("+Inf")]), float("inf")),
    ],
    ids=["vector", "scalar", "infinite"],
)
def test_a_query_gives_a_number(answer: bytes, number: float, serving: Any) -> None:
    serving.answer = 200, answer
    assert prometheus.value(f"{serving.url}/", 'sum(x{a="1"}) > 2') == number
    assert serving.asked[-1] == ("/api/v1/query", ['sum(x{a="1"}) > 2'])


@pytest.mark.parametrize(
    ("status", "answer", "words"),
    [
        (200, success("vector", []), "the query gives no values instead of one number"),
        (200, success("vector", [one("1"), one("2")]), "the query gives 2 values instead of one number"),
        (200, success("matrix", [one("1")]), "the query gives 1 values instead of one number"),
        (200, success("vector", [one("NaN")]), "the query gives NaN, such as for a ratio without requests"),
        (200, b"<html>", "URL does not answer as Prometheus does"),
        (200, b"[]", "URL does not answer as Prometheus does"),
        (200, b"{}", "URL does not answer as Prometheus does"),
        (400, b'{"status": "error", "error": "parse error"}', "URL refuses the query: parse error"),
        (503, b"down", "URL refuses the query: 503 Service Unavailable"),
    ],
)
def test_everything_else_is_no_number(status: int, answer: bytes, words: str, serving: Any) -> None:
    serving.answer = status, answer
    with pytest.raises(Failure) as failure:
        prometheus.value(serving.url, "up")
    assert str(failure.value) == words.replace("URL", serving.url)


def test_a_server_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(Failure, match=r"^http://127.0.0.1:\d+ does not answer \(.*refused\)$"):
        prometheus.value(url, "up")
