"""Verb `deploy`: deploy a version to an environment, next to what serves there, checked before it gets any traffic."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from delivery.adapters import deployments, github
from delivery.core import params
from delivery.core.errors import Failure
from delivery.deploy import artifacts, bake, environments, own_metrics, rehearse, rollout, shadow, traffic
from delivery.deploy.targets.host import Host
from delivery.deploy.targets.target import Target
from delivery.registry import attestation, history, registry
from delivery.registry.version import Version


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the verb."""
    parser.add_argument("version", help="number or alias of a registered version")
    parser.add_argument("environment", help="environment to deploy to, such as production")
    parser.add_argument("--canary", type=share, default=0, metavar="10%", help="start with this share of traffic")
    parser.add_argument(
        "--shadow",
        nargs="?",
        const="true",
        default="false",
        choices=("true", "false"),
        help="only compare the version with what serves, on copies of live requests, and report",
    )
    traffic.argument(parser)


def share(text: str) -> int:
    """Return a share in per cent, as a person writes it: `10%`; 0 for an empty text."""
    number = text.strip().removesuffix("%").strip() or "0"
    if not (number.isdigit() and int(number) < 100):
        raise argparse.ArgumentTypeError(f"{text!r} is no share; write 10%, or 0 for no canary")
    return int(number)


def main(options: argparse.Namespace) -> None:
    """Deploy the version, or shadow it, and print the outcome."""
    environments.refuse_unknown(options.environment)
    if options.shadow == "true" and options.canary:
        raise Failure("a shadow gets no traffic and a canary gets some; give one of --shadow and --canary")
    if options.shadow == "true":
        outcome = shadow.run(options.version, options.environment)
    else:
        outcome = run(options.version, options.environment, options.canary, anyway=options.anyway == "true")
    github.summary(outcome)
    if github.inside():
        github.summary(history.recent(options.environment))
    print(outcome)


def run(
    which: str, environment: str, percent: int = 0, how: str = "deploy", allow: Callable[[], None] = lambda: None,
    *, anyway: bool = False,
) -> str:  # fmt: skip
    """Deploy a version, given by number or alias, and return the outcome in words; `how` is what history says.

    `allow` is called before the alias moves, on the newest records, and raises if it must not. `anyway`: also a version
    that refuses what clients send. Raise `Failure` if the version does not serve in the end; what served before serves
    then.
    """
    environments.refuse_unknown(environment)
    kind = environments.settings(environment).target
    registry.refuse_absent()
    if kind not in environments.KINDS:
        return rehearse_only(registry.find(which), environment, percent, how)
    with environments.opened(environment) as target:  # first of all: reading the registry takes seconds
        environments.reconcile(target)
        return deploy_to(target, registry.find(which), kind, percent, how, allow, anyway=anyway)


def deploy_to(
    target: Target, version: Version, kind: str, percent: int, how: str, allow: Callable[[], None], *, anyway: bool
) -> str:
    """Deploy a version to a target that lasts. A boundary breaks with its clients on purpose."""
    environment, number = target.environment, version.number

    def allowed() -> str:
        allow()
        return number

    if target.serves(number):
        environments.point(environment, allowed, how)  # a killed command may not have come to it
        deployments.correct(environment, version.commit, number, target.address)
        return f"Version {number} serves `{environment}` already {target.location}; nothing has changed."
    release = artifacts.attested(version, kind)
    how = "canary" if percent and target.serving() else how

    def record(seconds: float) -> None:
        environments.point(environment, allowed, how, seconds=seconds)

    settings = params.load().deploy
    try:
        with deployments.deployment(environment, release.commit, f"version {number}", target.address):
            warm, lines = rollout.deploy(
                target,
                release,
                lambda: artifacts.download(version),
                percent,
                settings.canary,
                record,
                ask=own_metrics.of(settings, environment, number, target.serving()),
                anyway=anyway or bool(version.boundary),
            )
    except Failure as failure:
        environments.failed(environment, number, how, str(failure))
        raise
    kept = f"; version {warm} is kept warm" if warm else ""
    watched = bake.begin(target) if isinstance(target, Host) else ""
    return "\n\n".join([f"Version {number} serves `{environment}` {target.location}{kept}.{watched}", *lines])


def rehearse_only(version: Version, environment: str, percent: int, how: str) -> str:
    """Run a version on this machine for as long as the checks take; then move the alias."""
    number = version.number
    with deployments.deployment(environment, version.commit, f"version {number}"):
        attestation.refuse(version)
        rehearse.version(version)
        environments.point(environment, lambda: number, how)
    skipped = " A canary needs a target that lasts." if percent else ""
    return f"Version {number} is `{environment}`. {environments.REHEARSAL.format(environment)}{skipped}"
