"""The real HAProxy between two servers that say their name; and the order in which it is told."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from functools import partial
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from answering import answering

from delivery.core import waiting
from delivery.deploy.targets import loopback, proxy
from delivery.deploy.targets.routing import Routing

BLUE, GREEN = proxy.SLOTS
config = proxy.config


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
    with ExitStack() as stack:
        for server in servers.values():
            stack.enter_context(answering(server))
        yield {name: server.server_port for name, server in servers.items()}


def ask(port: int, times: int, **headers: str) -> list[str]:
    said, given = [], {name.replace("_", "-"): value for name, value in headers.items()}
    with closing(HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
        for _ in range(times):
            connection.request("GET", "/", headers=given)
            reply = connection.getresponse()
            said.append(reply.read().decode())
            assert reply.status == 200
    return said


def test_both_get_their_share_from_the_first_requests_on(
    needs_haproxy: None, tmp_path: Path, ports: dict[str, int]
) -> None:
    """After 800 requests HAProxy's own choice, in turns, gives the next 400 to one of two equals."""
    public = loopback.free_port()
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


def test_the_spare_server_answers_at_once_when_the_other_has_gone(
    needs_haproxy: None, tmp_path: Path, ports: dict[str, int]
) -> None:
    public, gone = loopback.free_port(), loopback.free_port()
    (tmp_path / "health").mkdir()
    for path in ("index.html", "health/ready"):
        (tmp_path / path).write_text("serving")
    weights = {BLUE: (gone, 100), GREEN: (ports[GREEN], 0)}
    command = [sys.executable, "-m", "http.server", str(gone), "--bind", "127.0.0.1", "--directory", str(tmp_path)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as serving:
        try:
            assert waiting.until(lambda: loopback.ready(f"http://127.0.0.1:{gone}"), 20)
            proxy.apply(tmp_path, public, weights, spare=GREEN)
            assert set(ask(public, 50)) == {"serving"}
            proxy.reload(tmp_path)
            assert set(ask(public, 50)) == {"serving"}
            serving.kill()
            serving.wait()
            assert set(ask(public, 50)) == {GREEN}
            proxy.apply(tmp_path, public, weights)
            with pytest.raises(AssertionError):
                ask(public, 1)
        finally:
            serving.kill()
            proxy.stop(tmp_path)


def test_a_proxy_from_before_the_spare_servers_reads_the_new_file(
    needs_haproxy: None, tmp_path: Path, ports: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    public, weights = loopback.free_port(), {BLUE: (ports[BLUE], 100), GREEN: (ports[GREEN], 0)}
    try:
        with monkeypatch.context() as patch:
            patch.setattr(
                proxy,
                "config",
                lambda *given: "\n".join(line for line in config(*given).splitlines() if "spare" not in line) + "\n",
            )
            proxy.apply(tmp_path, public, weights)
        assert len(proxy.counters(tmp_path)) == 2
        assert ask(public, 1) == [BLUE]
        proxy.apply(tmp_path, public, weights, spare=GREEN)
        assert len(proxy.counters(tmp_path)) == 4
        assert ask(public, 1) == [BLUE]
    finally:
        proxy.stop(tmp_path)


def test_a_caller_stays_with_a_version_and_moves_to_the_new_one_only(
    needs_haproxy: None, tmp_path: Path, ports: dict[str, int]
) -> None:
    """The hash is the same each time, so these figures are no matter of chance; those without a header are."""
    public, how, callers = loopback.free_port(), Routing("X-Customer"), range(300)
    before = dict.fromkeys(callers, BLUE)
    try:
        proxy.apply(tmp_path, public, {BLUE: (ports[BLUE], 100)}, how=how)
        for share in (10, 25, 50):
            proxy.apply(tmp_path, public, {BLUE: (ports[BLUE], 100 - share), GREEN: (ports[GREEN], share)}, how=how)
            now = {caller: ask(public, 1, x_customer=f"customer,{caller}")[0] for caller in callers}
            again = {caller: ask(public, 1, X_CUSTOMER=f"customer,{caller}")[0] for caller in callers}
            assert now == again
            assert 0.6 * share < 100 * list(now.values()).count(GREEN) / len(callers) < 1.5 * share
            assert [caller for caller in callers if before[caller] == GREEN and now[caller] == BLUE] == []
            before = now
        for nobody in ({}, {"x_customer": ""}, {"x_delivery_caller": "always the same"}):
            said = ask(public, 100, **nobody)
            assert 20 < said.count(GREEN) < 80  # by chance once in 10^10
    finally:
        proxy.stop(tmp_path)


def test_a_request_chooses_its_version_while_it_may(needs_haproxy: None, tmp_path: Path, ports: dict[str, int]) -> None:
    public, weights = loopback.free_port(), {BLUE: (ports[BLUE], 99), GREEN: (ports[GREEN], 1)}
    may, resting = Routing("X-Customer", "X-Version", {"7": BLUE, "8": GREEN}), Routing("X-Customer", "X-Version")
    try:
        proxy.apply(tmp_path, public, {BLUE: (ports[BLUE], 100), GREEN: (ports[GREEN], 0)}, how=resting)
        assert set(ask(public, 20, x_version="8")) == {BLUE}, "it may not yet"
        proxy.apply(tmp_path, public, weights, how=may)
        for _ in range(2):
            assert set(ask(public, 20, x_version="8")) == {GREEN}
            assert set(ask(public, 20, x_version="7", x_customer="a")) == {BLUE}
            assert ask(public, 100, x_version="9").count(BLUE) > 80, "as one that does not choose"
            proxy.reload(tmp_path)
        proxy.apply(tmp_path, public, {BLUE: (ports[BLUE], 0), GREEN: (ports[GREEN], 100)}, how=resting)
        assert set(ask(public, 20, x_version="7")) == {GREEN}, "it may not any more"
        proxy.reload(tmp_path)
        assert set(ask(public, 20, x_version="7")) == {GREEN}
    finally:
        proxy.stop(tmp_path)


def answer(port: int, slots: int) -> bool:
    """Whether so many slots answer one caller."""
    return len(set(ask(port, 100, x_customer="a"))) == slots


def test_other_headers_are_followed_without_a_lost_request(
    needs_haproxy: None, tmp_path: Path, ports: dict[str, int]
) -> None:
    public, weights = loopback.free_port(), {BLUE: (ports[BLUE], 50), GREEN: (ports[GREEN], 50)}
    try:
        for how, versions in ((Routing(), 2), (Routing("X-Customer"), 1), (Routing(), 2)):
            proxy.apply(tmp_path, public, weights, how=how)
            # The old worker may still get a connection for a moment.
            assert waiting.until(partial(answer, public, versions), 20)
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
            servers.setdefault(name.removeprefix("slots/"), {"state": "ready", "weight": "0"})[what] = value
            assert serving()
            assert serving() <= meant
        return f"slots,{BLUE}{proxy.SPARE},"

    monkeypatch.setattr(proxy, "tell", told)
    for shares in ({before: 100, now: 0}, {before: 50, now: 50}, {before: 0, now: 100}, {now: 100}):
        meant = serving() | {name for name, share in shares.items() if share}
        proxy.apply(tmp_path, 1, {name: (1000, share) for name, share in shares.items()})
        assert serving() == {name for name, share in shares.items() if share}
    assert servers[before]["state"] == "maint"
