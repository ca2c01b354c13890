"""Run uvicorn on one event loop, and stop without losing a request."""

import logging
import logging.config
import socket
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec
import uvicorn

from delivery.core.errors import Failure
from delivery.service.access import Tokens, refuse_open
from delivery.service.app import About, App
from delivery.service.predict import Limits

STOP_SECONDS = 10  # to wait for running requests after the drain
logger = logging.getLogger(__name__)


def serve(
    model: Path,
    host: str,
    port: int,
    *,
    about: About = About(),
    limits: Limits = Limits(),
    tokens: Tokens | None = None,
    declared_open: bool = False,
    log_folder: Path | None = None,
    drain_seconds: float = 1.0,
) -> None:
    """Serve until SIGTERM or SIGINT. Port 0 takes a free port; the first line on stdout has the address.

    Raise `Failure` if the model is broken, the port is taken, or the service would be open without being declared so.
    """
    tokens = tokens or Tokens()
    refuse_open(tokens, host, declared_open)
    logging.config.dictConfig(LOGGING)
    sys.setswitchinterval(0.0005)  # seconds; with the default, 5 ms, the recorder's thread delays requests
    app = App(model, about, limits, tokens, log_folder)
    listener = listen(host, port)
    config = uvicorn.Config(
        app,
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
        """Count down the drain; uvicorn calls this ten times per second."""
        if self.ticks_left is not None:
            self.ticks_left -= 1
            self.should_exit = self.should_exit or self.ticks_left < 0
        return await super().on_tick(counter)


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket. Raise `Failure` if the address is not available."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise Failure(f"cannot listen on {host}:{port} ({error.strerror}); choose another with --port") from None


class JsonLines(logging.Formatter):
    """Format each log record as one JSON object."""

    def format(self, record: logging.LogRecord) -> str:
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
