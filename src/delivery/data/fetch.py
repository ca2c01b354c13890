"""Verb `fetch`: data/ from the source, up to and including fetch.until."""

import argparse
from pathlib import Path

from delivery.core import params, workspace
from delivery.core.errors import Failure
from delivery.core.files import replacing
from delivery.data import tables
from problem import fetch


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--until", metavar="PERIOD", help="instead of fetch.until of params.yaml")
    parser.add_argument("--params", type=Path, default=workspace.PARAMS, metavar="FILE", help="instead of params.yaml")
    parser.add_argument("--to", type=Path, default=workspace.DATA, metavar="DIR", help="instead of data/")


def main(options: argparse.Namespace) -> None:
    print(into(options.to, options.until or params.load(options.params).fetch.until))


def into(folder: Path, until: str) -> str:
    """Writes the raw tables, whole or not at all, and says what. Raises Failure when the source refuses."""
    tables.expected(until)
    with replacing(folder) as scratch:
        scratch.mkdir()
        try:
            fetch(scratch, until, workspace.CACHE / "source")
        except ValueError as error:
            raise Failure(str(error)) from None
    size = sum(file.stat().st_size for file in folder.rglob("*.parquet"))
    return f"fetch: {folder} holds periods up to {until}, {size / 1e6:.1f} MB"
