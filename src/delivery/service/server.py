"""The server: uvicorn on one event loop, with a stop that loses no request."""

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

STOP_SECONDS = 10  # for requests under way, after the drain
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
    """Answers until SIGTERM or SIGINT. Port 0 takes a free one; the address is the first line on stdout.

    Raises Failure for a broken model, a port that is taken, or an open door nobody asked for.
    """
    tokens = tokens or Tokens()
    refuse_open(tokens, host, declared_open)
    logging.config.dictConfig(LOGGING)
    sys.setswitchinterval(0.0005)  # seconds: the recorder's thread may not keep requests waiting for 5 ms
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
    """On the first signal it drains: still answers, closes each connection it has answered on, is not ready.

    A client that reuses connections so learns of the stop by a header, not by a reset in mid-request.
    """

    def __init__(self, config: uvicorn.Config, app: App, drain_seconds: float):
        super().__init__(config)
        self.app, self.drain_seconds = app, drain_seconds
        app.predict.under_way = self.server_state.tasks
        self.ticks_left: int | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """The second signal ends the drain, the third does not even wait for requests under way."""
        if self.ticks_left is None:
            logger.info("draining for %g s", self.drain_seconds)
            self.app.predict.draining = True
            self.ticks_left = round(self.drain_seconds * 10)
        elif self.should_exit:
            self.force_exit = True
        else:
            self.should_exit = True

    async def on_tick(self, counter: int) -> bool:
        """Called by uvicorn ten times a second."""
        if self.ticks_left is not None:
            self.ticks_left -= 1
            self.should_exit = self.should_exit or self.ticks_left < 0
        return await super().on_tick(counter)


def listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise Failure(f"cannot listen on {host}:{port} ({error.strerror}); choose another with --port") from None


class JsonLines(logging.Formatter):
    """One JSON object per record."""

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
