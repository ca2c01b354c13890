"""Verb `steer`: widen or end a canary that another command runs on this host."""

import argparse

from delivery.core.errors import Failure
from delivery.deploy import canary, environments
from delivery.deploy.deploy import share
from delivery.deploy.targets import host, state


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the verb."""
    parser.add_argument("environment", help="environment with a canary")
    choice = parser.add_mutually_exclusive_group(required=True)
    choice.add_argument("--share", type=share, metavar="50%", help="share of traffic to go on with")
    choice.add_argument("--end", action="store_true", help="end the canary; the old version gets all traffic again")


def main(options: argparse.Namespace) -> None:
    """Leave the choice to the command that runs the canary, which takes it up within a second."""
    settings = environments.settings(options.environment)
    if settings.target not in ("process", "docker"):
        raise Failure(
            f"{options.environment} is not on this host; stop the command or the workflow run that deploys to it"
        )
    state.steer(host.folder(options.environment, settings), canary.END if options.end else str(options.share))
    print(f"The canary of `{options.environment}` {'ends' if options.end else f'goes on with {options.share} %'}.")
