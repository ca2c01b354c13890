"""Verb `serve`: answer requests with a model, here and now, or as the image's entry point."""

import argparse
import os
from pathlib import Path

from delivery.core import params
from delivery.service.access import Tokens
from delivery.service.app import About
from delivery.service.predict import Limits
from delivery.service.server import serve

YES = {"1", "yes", "true", "on"}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Each option has a name in the environment too: that is how a container is told."""
    told = os.environ.get
    parser.add_argument(
        "--model",
        type=Path,
        default=told("SERVE_MODEL", "artifacts/export"),
        metavar="DIR",
        help="an exported model (SERVE_MODEL)",
    )
    parser.add_argument(
        "--host", default=told("SERVE_HOST", "127.0.0.1"), help="beyond loopback see --open (SERVE_HOST)"
    )
    parser.add_argument("--port", type=int, default=told("SERVE_PORT", "8000"), help="0 takes a free one (SERVE_PORT)")
    parser.add_argument("--version", default=told("SERVE_VERSION", ""), help="the version's number (SERVE_VERSION)")
    parser.add_argument(
        "--log",
        type=Path,
        default=told("SERVE_LOG") or None,
        metavar="DIR",
        help="keep every prediction here (SERVE_LOG)",
    )
    parser.add_argument(
        "--tokens-file",
        type=Path,
        default=told("SERVE_TOKENS_FILE") or None,
        metavar="FILE",
        help="bearer tokens, one a line, read again when it changes (SERVE_TOKENS_FILE); SERVE_TOKENS holds them itself",
    )
    parser.add_argument(
        "--open",
        action="store_true",
        default=told("SERVE_OPEN", "").lower() in YES,
        help="answer anybody, on any host, without a token (SERVE_OPEN=yes)",
    )
    parser.add_argument(
        "--drain",
        type=float,
        default=told("SERVE_DRAIN", "1"),
        metavar="S",
        help="seconds to answer on when told to stop",
    )


def main(options: argparse.Namespace) -> None:
    limits = params.load().serve
    serve(
        options.model,
        options.host,
        options.port,
        about=About(options.version, os.environ.get("SERVE_COMMIT", ""), os.environ.get("SERVE_DATA", "")),
        limits=Limits(max_rows=limits.max_rows, max_bytes=limits.max_bytes),
        tokens=Tokens(os.environ.get("SERVE_TOKENS", ""), options.tokens_file),  # no argument: `ps` shows those
        declared_open=options.open,
        log_folder=options.log,
        drain_seconds=options.drain,
    )
