"""Bound what one connection may cost: the size and the time of its headers, idle time, and the number of connections.

uvicorn's protocol for httptools has no limit for headers, and a clock for idle connections only after a first answer.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import httptools
from msgspec import Struct
from uvicorn.protocols.http.httptools_impl import HIGH_WATER_LIMIT, STATUS_LINE, HttpToolsProtocol

from delivery.service.problems import CONTENT_TYPE, Problem

SILENT, HEAD, UPGRADE, BODY, COMPLETE = range(5)  # phases of receiving one request
LINGER_SECONDS = 2.0  # to read and discard after a refusal: closing at once would reset it before the client reads it
MAX_HEADERS = 100  # in one request, as in Apache and HAProxy: a short header takes 25 times its size in memory
SEND_SECONDS = 30.0  # to wait for a client that does not read its answers
FULL = {"retry-after": "1"}
PROBES = (
    b"/health/"  # answered on surplus connections too: to restart a full service, or take it out, would help nobody
)
SURPLUS_SECONDS = 2.0  # for a surplus connection to show by its headers what it asks
REASONS = ("too_many", "silent", "head_time", "head_size", "malformed", "body_time", "not_reading")


class ConnectionLimits(Struct, frozen=True):
    """Limits of each connection, and of their number."""

    max_connections: int = 1024
    max_header_bytes: int = 32_768  # of the request line and all headers
    header_seconds: float = 10.0  # from the connection, or a request's first byte, to the end of its headers
    keep_alive_seconds: float = 5.0  # between an answer and the next request
    body_seconds: float = 10.0  # for the rest of a body, once the request is answered


class Shared(NamedTuple):
    """The limits, the counts and the source of request ids that all connections share."""

    limits: ConnectionLimits
    ended: Counter[str]
    new_id: Callable[[], bytes]


class Connection(HttpToolsProtocol):
    """One connection. `sweep` is called about once a second for each, which is cheaper than a timer for each request.

    `on_body`, `on_message_complete` and `on_response_complete` replace those of uvicorn: without its timer for idle
    connections and its looks for an upgrade they pay for the limits.
    """

    def __init__(self, shared: Shared, **given: Any):
        super().__init__(**given)
        self.limits, self.shared = shared.limits, shared
        self.phase = SILENT
        self.age = 0.0  # seconds without progress
        self.chunk = 0  # bytes of the newest read
        self.undelivered = 0  # bytes received since the last complete part; below 0 during a read that completes one
        self.ended = False
        self.surplus = False  # it came when there were too many

    def connection_made(self, transport: Any) -> None:
        """Accept the connection. If there are too many, it gets 503 for anything but a health probe."""
        super().connection_made(transport)
        if self._excess() > self.limits.max_connections // 4:  # with those that still linger after their 503
            self._end("too_many")
        self.surplus = self._excess() > 0

    def data_received(self, data: bytes) -> None:
        """Parse what was read. Refuse the request if its headers are too large or it is not HTTP."""
        if self.ended:
            return
        self.chunk = len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._stay(memoryview(data)[upgrade.args[0] :])
        except httptools.HttpParserError:
            self._malformed()
        self.undelivered += self.chunk
        if self.undelivered > 0 and self._over_limit(self.undelivered):  # an incomplete header or trailer
            self._too_large()

    def _stay(self, rest: memoryview) -> None:
        """Ignore requests to upgrade, such as `Upgrade: h2c` of Java and curl, and answer in HTTP/1.1 (RFC 9110, 7.8).

        The parser cannot be told to: it takes what follows for another protocol. A new one reads the headers again.
        """
        while True:
            method, version = self.parser.get_method(), self.parser.get_http_version().encode()
            kept = [b"%b: %b\r\n" % header for header in self.headers if header[0] != b"upgrade"]
            self.parser = httptools.HttpRequestParser(self)
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
            try:
                self.parser.feed_data(b"%b %b HTTP/%b\r\n%b\r\n" % (method, self.url, version, b"".join(kept)))
                self.parser.feed_data(rest)
            except httptools.HttpParserUpgrade as upgrade:  # the next one in the same read
                rest = rest[upgrade.args[0] :]
            except httptools.HttpParserError:
                return self._malformed()
            else:
                return None

    def on_message_begin(self) -> None:
        """Begin a request."""
        self.phase, self.age = HEAD, 0.0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Start to answer, if the headers are within their limit."""
        # Most requests arrive in one read, which bounds their headers: no need to add them up.
        if (
            self.undelivered > 0 or self.chunk > self.limits.max_header_bytes or len(self.headers) > MAX_HEADERS
        ) and self._over_limit(self._header_bytes()):
            self._too_large()
            raise ValueError("the headers are too large")  # stops the parser
        self.undelivered, self.age = -self.chunk, 0.0
        probe = self.surplus and self.url.startswith(PROBES)
        if self.surplus and not probe and self._excess() > 0:
            self._full()
            raise ValueError("there are too many connections")
        if self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT":
            self.phase = UPGRADE
            return
        super().on_headers_complete()
        if probe:
            self.cycle.keep_alive = False
        self.phase = BODY  # only now: if it raises, the request is malformed and has no answer yet

    def on_body(self, body: bytes) -> None:
        """Take a part of the body; the endpoint limits its size."""
        self.undelivered = -self.chunk
        cycle = self.cycle
        if cycle.response_complete:
            return
        cycle.body += body
        if len(cycle.body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        cycle.message_event.set()

    def on_message_complete(self) -> None:
        """End a request."""
        if self.phase == UPGRADE:
            return
        self.phase, self.age, self.undelivered = COMPLETE, 0.0, -self.chunk
        if not self.cycle.response_complete:
            self.cycle.more_body = False
            self.cycle.message_event.set()

    def on_response_complete(self) -> None:
        """Answer the next request that waits. Drop what arrived of a body that this answer did not need."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.age = 0.0
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        elif self.cycle.body:
            self.cycle.body.clear()

    def pause_writing(self) -> None:
        """Wait until the client reads its answers, but not for ever."""
        self.age = 0.0
        super().pause_writing()

    def sweep(self, seconds: float) -> None:
        """End the connection if it made no progress for too long; `seconds` have passed since the last sweep."""
        limits, self.age = self.limits, self.age + seconds
        if self.flow.write_paused:
            if self.age > SEND_SECONDS:
                self._end("not_reading")
        elif self.cycle is not None and not self.cycle.response_complete:
            self.age = 0.0  # the service's turn, or the endpoint waits for the body by its own clock
        elif self.ended:
            if self.age > LINGER_SECONDS:
                self.transport.abort()
        elif self.phase in (SILENT, HEAD):
            self._sweep_unasked()
        elif self.phase == BODY:
            if self.age > limits.body_seconds:
                self._end("body_time")
        elif self.age > limits.keep_alive_seconds:
            self.transport.close()

    def _sweep_unasked(self) -> None:
        """End the connection if a first byte or the end of the headers is late."""
        seconds = self.limits.header_seconds
        if self.surplus:
            if self.age > min(seconds, SURPLUS_SECONDS):
                self._full()
        elif self.age > seconds:
            if self.phase == SILENT:
                self._end("silent")
            else:
                self._refuse("head_time", Problem(408, f"the headers did not arrive within {seconds:g} s"))

    def _header_bytes(self) -> int:
        """Return the size of the request line and the headers, as they were received up to blanks."""
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _over_limit(self, size: int) -> bool:
        return size > self.limits.max_header_bytes or len(self.headers or ()) > MAX_HEADERS

    def _excess(self) -> int:
        return len(self.connections) - self.limits.max_connections

    def _full(self) -> None:
        self._refuse("too_many", Problem(503, "too many connections; come back later", FULL))

    def _malformed(self) -> None:
        self._refuse("malformed", Problem(400, "the request is not valid HTTP/1.1"))

    def _too_large(self) -> None:
        text = f"the headers are larger than {self.limits.max_header_bytes} bytes, or more than {MAX_HEADERS}"
        self._refuse("head_size", Problem(431, text))

    def _refuse(self, reason: str, problem: Problem) -> None:
        """Answer with a problem and end the connection. Earlier requests under way get their answers first."""
        if self.ended:
            return
        self.ended, self.age = True, 0.0
        self.shared.ended[reason] += 1
        self.parser = None  # type: ignore[assignment]  # and what it keeps
        waits = self.cycle is not None and not self.cycle.response_complete
        if waits and self.phase != BODY:
            self.cycle.keep_alive = False
            return
        if waits:
            self.cycle.disconnected = True  # tells the endpoint, which waits for the body, that this is answered
            self.cycle.message_event.set()
        if self.transport.is_closing():
            return
        if waits or self.phase != BODY:  # else this request has its answer
            self.transport.write(_response(problem, self.shared.new_id()))
        self.transport.write_eof()

    def _end(self, reason: str) -> None:
        if not self.ended:
            self.shared.ended[reason] += 1
        self.ended = True
        self.transport.abort()


def _response(problem: Problem, request_id: bytes) -> bytes:
    """Return the problem as a whole response that closes the connection."""
    body = problem.body(request_id.decode())
    headers = {
        "content-type": CONTENT_TYPE.decode(),
        "content-length": str(len(body)),
        "x-request-id": request_id.decode(),
        "connection": "close",
        **problem.headers,
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return STATUS_LINE[problem.status] + lines.encode() + b"\r\n" + body
