"""Verb `runner`: choose by a pull request's labels whether its pipeline runs on GitHub's machine or on a self-hosted one.

It runs without installed packages, before the job has a machine.
"""

import argparse
import json

from delivery.adapters import github

PREFIX = "runner:"
GITHUBS = ["ubuntu-24.04"]
VARIABLE = "the repository's variable RUNNERS"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the verb."""
    parser.add_argument("--labels", required=True, metavar="JSON", help="labels of the pull request, as a JSON list")
    parser.add_argument(
        "--known",
        default="",
        metavar="NAMES",
        help="labels of the self-hosted runners that a pull request may request, separated by blanks",
    )


def main(options: argparse.Namespace) -> None:
    """Print the choice and hand it to the workflow as `labels`."""
    runner, reason = choose(json.loads(options.labels), options.known.split())
    github.output(labels=json.dumps(runner))
    github.summary(reason)
    print(f"runner: {reason}")


def choose(labels: list[str], known: list[str]) -> tuple[list[str], str]:
    """Return the labels of the runner, and the reason. Of several requested ones, the first of `known` is chosen."""
    requested = [label.removeprefix(PREFIX) for label in labels if label.startswith(PREFIX)]
    chosen = next((name for name in known if name in requested), "")
    runner = ["self-hosted", chosen] if chosen else GITHUBS
    ignored = ", ".join(f"`{PREFIX}{name}`" for name in requested if name != chosen)
    listed = ", ".join(f"`{name}`" for name in known) or "nothing"
    why = f"; {ignored} is ignored: {VARIABLE} lists {listed}, and one runner is enough" if ignored else ""
    return runner, f"The pipeline runs on {' '.join(runner)}{why}."
