"""Run uvicorn on one event loop, and stop without losing a request."""

import functools
import logging
import logging.config
import resource
import socket
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec
import uvicorn

from delivery.core.errors import Failure
from delivery.service.access import Tokens, refuse_open
from delivery.service.app import About, App
from delivery.service.connection import Connection, ConnectionLimits, Shared
from delivery.service.log import Retention
from delivery.service.predict import Limits

STOP_SECONDS = 10  # to wait for running requests after the drain
OTHER_FILES = 100  # open files that are not connections
logger = logging.getLogger(__name__)


def serve(
    model: Path,
    host: str,
    port: int,
    *,
    about: About = About(),
    limits: Limits = Limits(),
    connections: ConnectionLimits = ConnectionLimits(),
    tokens: Tokens | None = None,
    declared_open: bool = False,
    log_folder: Path | None = None,
    retention: Retention = Retention(),
    drain_seconds: float = 1.0,
) -> None:
    """Serve until SIGTERM or SIGINT. Port 0 takes a free port; the first line on stdout has the address.

    Raise `Failure` if the model is broken, the port is taken, or the service would be open without being declared so.
    """
    tokens = tokens or Tokens()
    refuse_open(tokens, host, declared_open)
    logging.config.dictConfig(LOGGING)
    sys.setswitchinterval(0.0005)  # seconds; with the default, 5 ms, the recorder's thread delays requests
    app = App(model, about, limits, tokens, log_folder, retention)
    listener = listen(host, port)
    if app.recorder.log:
        app.recorder.log.open()  # only now: a start that fails leaves the log of a running service alone
    allow_files(connections.max_connections)
    shared = Shared(connections, app.recorder.metrics.ended, app.predict.new_id)
    config = uvicorn.Config(
        app,
        http=functools.partial(Connection, shared),  # type: ignore[arg-type]  # called like a class
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        ws="none",
        timeout_graceful_shutdown=STOP_SECONDS,
    )
    name = f"[{host}]" if ":" in host else host
    print(f"serving {app.about['version']} on http://{name}:{listener.getsockname()[1]} (docs at /docs)", flush=True)
    Server(config, app, drain_seconds).run([listener])


class Server(uvicorn.Server):
    """A server that drains on the first signal: it is not ready, still answers, and closes each connection afterwards.

    A client that reuses connections thus learns of the stop from a header, not from a reset during a request.
    """

    def __init__(self, config: uvicorn.Config, app: App, drain_seconds: float):
        super().__init__(config)
        self.app, self.drain_seconds = app, drain_seconds
        app.predict.under_way = self.server_state.tasks
        self.ticks_left: int | None = None
        self.swept = time.monotonic()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """Drain on the first signal, end the drain on the second, do not wait for running requests on the third."""
        if self.ticks_left is None:
            logger.info("draining for %g s", self.drain_seconds)
            self.app.predict.draining = True
            self.ticks_left = round(self.drain_seconds * 10)
        elif self.should_exit:
            self.force_exit = True
        else:
            self.should_exit = True

    async def on_tick(self, counter: int) -> bool:
        """Count down the drain, and sweep the connections; uvicorn calls this ten times per second."""
        if self.ticks_left is not None:
            self.ticks_left -= 1
            self.should_exit = self.should_exit or self.ticks_left < 0
        if counter % 10 == 0:
            now = time.monotonic()
            for connection in list(self.server_state.connections):
                assert isinstance(connection, Connection)
                connection.sweep(now - self.swept)
            self.swept = now
        return await super().on_tick(counter)


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket. Raise `Failure` if the address is not available."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise Failure(f"cannot listen on {host}:{port} ({error.strerror}); choose another with --port") from None


def allow_files(connections: int) -> None:
    """Raise the soft limit of open files to what the connections need, as far as the hard limit allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = connections + connections // 4 + OTHER_FILES
    if resource.RLIM_INFINITY != soft < needed:
        most = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


class JsonLines(logging.Formatter):
    """Format each log record as one JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as a line of JSON, with the request's id and the traceback if there are any."""
        line: dict[str, Any] = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if request_id := getattr(record, "request_id", None):
            line["request_id"] = request_id
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line).decode()


LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": JsonLines}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "stream": "ext://sys.stderr", "formatter": "json"}},
    "root": {"level": "INFO", "handlers": ["stderr"]},
}
