"""Verb `repair`: bring an environment back from what is observed, after a reboot, a kill or a damaged file."""

import argparse
from contextlib import suppress
from pathlib import Path

from delivery.adapters import github
from delivery.core import waiting
from delivery.core.errors import Failure
from delivery.deploy import artifacts, environments, watched
from delivery.deploy.targets import host, mending, state
from delivery.deploy.targets.host import Host
from delivery.registry import registry
from delivery.registry.version import rolled_back

SEEN = 10.0  # seconds; a busy machine checks its services late


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the verb."""
    parser.add_argument("environment", help="environment to repair, such as production")


def main(options: argparse.Namespace) -> None:
    """Repair the environment and print what was done."""
    text = run(options.environment)
    github.summary(text)
    print(text)


def run(environment: str) -> str:
    """Repair an environment and return what was done, a line for each; what still serves loses no request.

    Raise `Failure` if it cannot serve, or with what is left to do. The registry is needed only for what it alone knows.
    """
    environments.refuse_unknown(environment)
    settings = environments.settings(environment)
    if settings.target not in environments.KINDS:
        raise Failure(f"nothing of {environment} lasts (target {settings.target}), so there is nothing to repair")
    lines = []
    if settings.target != "kubernetes":
        folder = host.folder(environment, settings)
        with state.locked(folder):
            lines += mending.read_again(
                folder,
                pointed(environment),
                lambda number: good(environment, number),
                lambda number: since(folder, number),
            )
    with environments.opened(environment) as target:  # settles what a killed command has left
        if isinstance(target, Host):
            lines += mending.mend(target, fetched)
        environments.reconcile(target)
    if trouble := remaining(environment):
        raise Failure("; ".join([*lines, trouble]))
    return "\n".join(
        [*(lines or [f"Nothing was to be repaired in `{environment}`."]), f"Version {target.serving()} answers."]
    )


def remaining(environment: str) -> str:
    """Return what is wrong still; the proxy takes a moment to see that a version is back."""
    trouble = ""

    def fine() -> bool:
        nonlocal trouble
        trouble = environments.inspected(environment, pointed(environment)).trouble
        return not trouble

    waiting.until(fine, SEEN)
    return trouble


def pointed(environment: str) -> str:
    """Return the version that the alias names; empty if there is none, or if the registry does not tell."""
    with suppress(Exception):
        return environments.pointed(environment)
    return ""


def good(environment: str, number: str) -> bool:
    """Return whether the registry says that a version was not rolled back here; False if it does not answer."""
    with suppress(Exception):
        registry.refuse_absent()
        return not rolled_back(registry.find(number), environment)
    return False


def since(folder: Path, number: str) -> str:
    """Return since when a version serves if it is being watched, so that the watch goes on; else an empty string."""
    try:
        plan = watched.read(folder)
    except Failure:
        return ""
    return plan.since if plan.version == number else ""


def fetched(number: str) -> Path:
    """Return the folder of a version's files."""
    return artifacts.download(registry.find(number))
