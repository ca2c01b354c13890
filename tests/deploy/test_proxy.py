"""The real HAProxy between two servers that say their name; and the order in which it is told."""

import threading
from collections.abc import Iterator
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from delivery.deploy.targets import proxy, slots

BLUE, GREEN = proxy.SLOTS


class Named(BaseHTTPRequestHandler):
    """Answers with the name of its server."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet

    def do_GET(self) -> None:
        said = self.server.name.encode()  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("content-length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def ports() -> Iterator[dict[str, int]]:
    """Of a server for each slot."""
    servers = {name: ThreadingHTTPServer(("127.0.0.1", 0), Named) for name in proxy.SLOTS}
    for name, server in servers.items():
        server.name = name  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, daemon=True).start()
    yield {name: server.server_port for name, server in servers.items()}
    for server in servers.values():
        server.shutdown()
        server.server_close()


def ask(port: int, times: int) -> list[str]:
    connection = HTTPConnection("127.0.0.1", port, timeout=20)
    said = []
    for _ in range(times):
        connection.request("GET", "/")
        said.append(connection.getresponse().read().decode())
    connection.close()
    return said


def test_both_get_their_share_from_the_first_requests_on(
    needs_haproxy: None, tmp_path: Path, ports: dict[str, int]
) -> None:
    """After 800 requests HAProxy's own choice, in turns, gives the next 400 to one of two equals."""
    public = slots.free_port()
    try:
        proxy.apply(tmp_path, public, {BLUE: (ports[BLUE], 100)})
        assert set(ask(public, 800)) == {BLUE}
        proxy.apply(tmp_path, public, {BLUE: (ports[BLUE], 50), GREEN: (ports[GREEN], 50)})
        said = ask(public, 100)
        assert 20 < said.count(GREEN) < 80  # by chance once in 10^10
        proxy.apply(tmp_path, public, {BLUE: (ports[BLUE], 0), GREEN: (ports[GREEN], 100)})
        assert set(ask(public, 20)) == {GREEN}
    finally:
        proxy.stop(tmp_path)


@pytest.mark.parametrize("now", proxy.SLOTS)
def test_there_is_a_server_after_every_single_command(now: str, tmp_path: Path, monkeypatch) -> None:
    """And it is never one that is not meant, with the weight that it had at an earlier deployment."""
    before = GREEN if now == BLUE else BLUE
    servers: dict[str, dict[str, str]] = {
        before: {"state": "ready", "weight": "100"},
        now: {"state": "maint", "weight": "50"},
    }

    def serving() -> set[str]:
        return {name for name, has in servers.items() if has["state"] == "ready" and has["weight"] != "0"}

    def told(folder: Path, command: str) -> str:
        if command.startswith("set server"):
            _, _, name, what, value, *_ = command.split()
            servers[name.removeprefix("slots/")][what] = value
            assert serving()
            assert serving() <= meant
        return "something"

    monkeypatch.setattr(proxy, "tell", told)
    for shares in ({before: 100, now: 0}, {before: 50, now: 50}, {before: 0, now: 100}, {now: 100}):
        meant = serving() | {name for name, share in shares.items() if share}
        proxy.apply(tmp_path, 1, {name: (1000, share) for name, share in shares.items()})
        assert serving() == {name for name, share in shares.items() if share}
    assert servers[before]["state"] == "maint"
