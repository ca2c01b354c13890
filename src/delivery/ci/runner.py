"""Verb `runner`: where a pull request's pipeline runs, by its labels: on GitHub's machine, or on one of ours.

Needs nothing installed: it is asked before the job that it places has a machine.
"""

import argparse
import json

from delivery.adapters import github

PREFIX = "runner:"
GITHUBS = ["ubuntu-latest"]
WHERE = "the repository's variable RUNNERS"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--labels", required=True, metavar="JSON", help="names of the pull request's labels, as a list")
    parser.add_argument("--known", default="", metavar="NAMES", help="of own runners that a label may ask for")


def main(options: argparse.Namespace) -> None:
    place, said = choose(json.loads(options.labels), options.known.split())
    github.output(labels=json.dumps(place))
    github.summary(said)
    print(f"runner: {said}")


def choose(labels: list[str], known: list[str]) -> tuple[list[str], str]:
    """Labels of the runner, and the reason. Of several that may be asked for, the first in the list of those."""
    asked = [label.removeprefix(PREFIX) for label in labels if label.startswith(PREFIX)]
    found = next((name for name in known if name in asked), "")
    place = ["self-hosted", found] if found else GITHUBS
    ignored = ", ".join(f"`{PREFIX}{name}`" for name in asked if name != found)
    list_ = ", ".join(f"`{name}`" for name in known) or "nothing"
    why = f"; {ignored} is ignored: {WHERE} lists {list_}, and one runner is enough" if ignored else ""
    return place, f"The pipeline runs on {' '.join(place)}{why}."
