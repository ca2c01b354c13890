"""Verb `serve`: answer prediction requests over HTTP, on this machine or as the image's entry point."""

import argparse
import os
from pathlib import Path

from delivery.core import params
from delivery.service.access import Tokens
from delivery.service.app import About
from delivery.service.connection import ConnectionLimits
from delivery.service.log import MEGABYTE, Retention
from delivery.service.predict import Limits
from delivery.service.server import serve

YES = {"1", "yes", "true", "on"}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options. Each can also be set by an environment variable, for containers."""
    environment = os.environ.get
    parser.add_argument(
        "--model",
        type=Path,
        default=environment("SERVE_MODEL", "artifacts/export"),
        metavar="DIR",
        help="folder of the exported model (SERVE_MODEL)",
    )
    parser.add_argument(
        "--host",
        default=environment("SERVE_HOST", "127.0.0.1"),
        help="address to listen on; other than loopback needs tokens or --open (SERVE_HOST)",
    )
    parser.add_argument(
        "--port",
        type=int,
        default=environment("SERVE_PORT", "8000"),
        help="port to listen on, 0 for any free one (SERVE_PORT)",
    )
    parser.add_argument(
        "--version", default=environment("SERVE_VERSION", ""), help="model version to report (SERVE_VERSION)"
    )
    parser.add_argument(
        "--log",
        type=Path,
        default=environment("SERVE_LOG") or None,
        metavar="DIR",
        help="folder to log every prediction to (SERVE_LOG)",
    )
    parser.add_argument(
        "--tokens-file",
        type=Path,
        default=environment("SERVE_TOKENS_FILE") or None,
        metavar="FILE",
        help="file of bearer tokens, one per line, each a token or name:token, read again when it changes "
        "(SERVE_TOKENS_FILE); or set SERVE_TOKENS",
    )
    parser.add_argument(
        "--open",
        action="store_true",
        default=environment("SERVE_OPEN", "").lower() in YES,
        help="answer every client without a token, on any address (SERVE_OPEN=yes)",
    )
    parser.add_argument(
        "--drain",
        type=float,
        default=environment("SERVE_DRAIN", "1"),
        metavar="S",
        help="seconds to keep answering after a stop signal (SERVE_DRAIN)",
    )


def main(options: argparse.Namespace) -> None:
    """Serve the model until stopped."""
    limits = params.serving()
    serve(
        options.model,
        options.host,
        options.port,
        about=About(options.version, os.environ.get("SERVE_COMMIT", ""), os.environ.get("SERVE_DATA", "")),
        limits=Limits(limits.max_rows, limits.max_bytes, limits.unknown_fields),
        connections=ConnectionLimits(
            max_connections=limits.max_connections,
            max_header_bytes=limits.max_header_bytes,
            header_seconds=limits.header_seconds,
            keep_alive_seconds=limits.keep_alive_seconds,
        ),
        tokens=Tokens(
            os.environ.get("SERVE_TOKENS", ""), options.tokens_file
        ),  # not an option, because `ps` shows options
        declared_open=options.open,
        log_folder=options.log,
        retention=Retention(total_bytes=limits.log_megabytes * MEGABYTE, days=limits.log_days),
        drain_seconds=options.drain,
    )
