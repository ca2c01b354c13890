"""Verb `fetch`: download the raw tables to data/, up to and including the period fetch.until."""

import argparse
from pathlib import Path

from delivery.core import params, workspace
from delivery.core.errors import Failure
from delivery.core.files import replacing
from delivery.data import tables
from problem import fetch


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the verb."""
    parser.add_argument(
        "--until", metavar="PERIOD", help="newest period to fetch (default: fetch.until of params.yaml)"
    )
    parser.add_argument(
        "--params", type=Path, default=workspace.PARAMS, metavar="FILE", help="parameters (default: params.yaml)"
    )
    parser.add_argument(
        "--to", type=Path, default=workspace.DATA, metavar="DIR", help="folder to write (default: data)"
    )


def main(options: argparse.Namespace) -> None:
    """Fetch the data and print the result."""
    print(into(options.to, options.until or params.load(options.params).fetch.until))


def into(folder: Path, until: str) -> str:
    """Write the raw tables, all or none, and return a line about them. Raise `Failure` if the source fails."""
    tables.expected(until)
    with replacing(folder) as scratch:
        scratch.mkdir()
        try:
            fetch(scratch, until, workspace.CACHE / "source")
        except ValueError as error:
            raise Failure(str(error)) from None
    size = sum(file.stat().st_size for file in folder.rglob("*.parquet"))
    return f"fetch: {folder} holds periods up to {until}, {size / 1e6:.1f} MB"
