"""Verb `rehearse`: start a model as a service on this machine, check its contract, load it and stop it."""

import argparse
import os
from pathlib import Path

from delivery.core import params
from delivery.deploy import artifacts
from delivery.deploy.targets import rehearsal
from delivery.probe import contract, loadtest
from delivery.registry import running
from delivery.registry.release import BUNDLE, EXPORTED
from delivery.registry.version import Version


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the verb."""
    parser.add_argument(
        "--model", type=Path, default=Path("artifacts/export"), metavar="DIR", help="folder of the exported model"
    )
    parser.add_argument("--image", default="", help="image to run instead of a process, if a Docker engine answers")
    parser.add_argument("--contract", action="store_true", help="check the contract only, without a load test")


def main(options: argparse.Namespace) -> None:
    """Rehearse the model. Raise `Failure` if it breaks its contract or fails the load test."""
    run(options.model, "", options.image, load=not options.contract)


def version(registered: Version, *, load: bool = True) -> None:
    """Rehearse a registered version: its image, else its own code. Raise `Failure` as `run` does."""
    folder = artifacts.download(registered)
    run(folder / EXPORTED, registered.number, registered.image, load=load, code=folder / BUNDLE)


def run(model: Path, version: str, image: str, *, load: bool = True, code: Path | None = None) -> None:
    """Rehearse a model, in a container if an `image` is given and a Docker engine answers; then stop it.

    A process runs the bundle `code`, or what is checked out. Raise `Failure` if the service breaks its contract or fails
    the load test.
    """
    in_container = image and rehearsal.engine()
    start = rehearsal.container(image, version) if in_container else running.process(model, version, code)
    with start as url:
        contract.refuse(url, model, version or None)
        if load:
            settings = params.load().loadtest
            result = loadtest.run(url, model, settings, os.environ.get("SERVE_TOKEN"))
            print(f"loadtest: {loadtest.summary(result)}")
            loadtest.refuse(loadtest.verdict(result, settings))
