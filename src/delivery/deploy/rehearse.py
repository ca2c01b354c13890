"""Verb `rehearse`: a model as a service on this machine, asked for its contract, loaded, stopped."""

import argparse
import os
from pathlib import Path

from delivery.core import params
from delivery.deploy.targets import rehearsal
from delivery.probe import contract, loadtest


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", type=Path, default=Path("artifacts/export"), metavar="DIR", help="exported model")
    parser.add_argument("--image", default="", help="run this image instead of a process, where there is an engine")
    parser.add_argument("--contract", action="store_true", help="the contract alone, no load")


def main(options: argparse.Namespace) -> None:
    run(options.model, "", options.image, load=not options.contract)


def run(model: Path, version: str, image: str, *, load: bool = True) -> None:
    """Raises Failure at the first thing that does not hold; nothing is left running."""
    start = rehearsal.container(image, version) if image and rehearsal.engine() else rehearsal.process(model, version)
    with start as url:
        contract.refuse(url, model, version or None)
        if load:
            settings = params.load().loadtest
            result = loadtest.run(url, model, settings, os.environ.get("SERVE_TOKEN"))
            print(f"loadtest: {loadtest.summary(result)}")
            loadtest.refuse(loadtest.verdict(result, settings))
