"""Verb `retire`: take an environment out of service, on its target and in the registry, and record why."""

import argparse

from delivery.adapters import github, store
from delivery.core.errors import Failure
from delivery.deploy import environments
from delivery.registry import registry, transitions


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the verb."""
    parser.add_argument("environment", help="environment to take out of service")
    parser.add_argument("--reason", required=True, help="reason; recorded on the version that served there")


def main(options: argparse.Namespace) -> None:
    """Retire the environment and print the outcome."""
    text = run(options.environment, options.reason)
    github.summary(text)
    print(text)


def run(environment: str, reason: str) -> str:
    """Stop what serves, remove the alias, and record it; return the outcome in words.

    Raise `Failure` if the environment has no version and nothing runs.
    """
    registry.refuse_absent()
    kind, served = environments.settings(environment).target, ""
    if kind in environments.KINDS:
        with environments.opened(environment) as target:
            environments.reconcile(target)
            served = target.serving()
            target.remove()
    number = unpoint(environment, reason)
    if not (number or served):
        raise Failure(f"nothing serves {environment}, and it has no version")
    row = " Remove its row from deploy.environments in params.yaml." if kind in environments.KINDS else ""
    return f"`{environment}` is out of service; version {number or served} was the last one there.{row}"


def unpoint(environment: str, reason: str) -> str:
    """Remove the alias with a record of it, and push the store; return the version that it pointed to."""
    number = ""

    def record() -> None:
        nonlocal number
        number = transitions.retire(environment, reason) or number

    record()
    if registry.address() is None:
        store.push(f"{environment} is retired", redo=record)
    return number
