"""Verb `deploy`: a version to an environment, beside what runs there, checked before anything points to it."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

from delivery.adapters import github
from delivery.core import params
from delivery.core.errors import Failure
from delivery.deploy import artifacts, canary, environments, rehearse, shadow
from delivery.deploy.targets import counts, host, kubernetes, slots
from delivery.deploy.targets.host import Host
from delivery.probe import contract
from delivery.registry import history, registry

Record = Callable[[float], None]
NOTHING_BEFORE = "Nothing served before, so there was nothing to compare with: no canary."


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("version", help="a number or an alias of the registry")
    parser.add_argument("environment", help="that is to serve it, such as production")
    parser.add_argument("--canary", type=share, default=0, metavar="10%", help="begin with this share of the requests")
    parser.add_argument(
        "--shadow",
        nargs="?",
        const="true",
        default="false",
        choices=("true", "false"),
        help="only compare it with what serves, on copies of the live requests, and report",
    )


def share(text: str) -> int:
    """Per cent, as a person writes it; none for nothing."""
    number = text.strip().removesuffix("%").strip() or "0"
    if not (number.isdigit() and int(number) < 100):
        raise argparse.ArgumentTypeError(f"{text!r} is no share; write 10%, or 0 for no canary")
    return int(number)


def main(options: argparse.Namespace) -> None:
    if options.shadow == "true":
        said = compared(options.version, options.environment)
    else:
        said = run(options.version, options.environment, options.canary)
    github.summary(said)
    if github.inside():
        github.summary(history.recent(options.environment))
    print(said)


def run(which: str, target: str, percent: int = 0, how: str = "deploy") -> str:
    """Returns what there is to tell. Raises Failure when the version does not serve; what ran before then runs."""
    where = artifacts.place(target)
    if where.target in ("process", "docker"):
        with host.opened(target, where, params.load().deploy) as there:  # first of all: the registry costs seconds
            there.settle(lambda: artifacts.pointed(target))
            return beside(there, registry.find(registry.connect(), which), percent, how)
    version = registry.find(registry.connect(), which)
    return (in_cluster if where.target == "kubernetes" else rehearsed)(version, target, percent, how)


def compared(which: str, target: str) -> str:
    """The page of a version in the shadow of what serves."""
    where = artifacts.place(target)
    if where.target not in ("process", "docker"):
        raise Failure(
            f"{target} is no target process or docker, so nothing of it can be shadowed; docs/how-to/deploy.md"
        )
    with host.opened(target, where, params.load().deploy) as there:
        there.settle(lambda: artifacts.pointed(target))
        version = registry.find(registry.connect(), which)
        return shadow.trial(there, artifacts.vouched(version, where), artifacts.download(version))


def rehearsed(version: registry.ModelVersion, target: str, percent: int, how: str) -> str:
    """On this machine for as long as the checks take; then the alias moves."""
    number = str(version.version)
    with github.deployment(target, version.tags.get("git.commit", ""), f"version {number}"):
        image = version.tags.get("image.digest", "")
        github.refuse_unattested(image)
        rehearse.run(artifacts.download(version), number, image)
        environments.point(target, lambda: number, how)
    skipped = " A canary needs one that lasts." if percent else ""
    return f"Version {number} is `{target}`. {environments.REHEARSAL.format(target)}{skipped}"


def beside(there: Host, version: registry.ModelVersion, percent: int, how: str) -> str:
    number, begun = str(version.version), time.monotonic()
    if there.serves(number):
        environments.point(there.environment, lambda: number, how)  # where a killed process had not come to it
        return f"Version {number} serves `{there.environment}` already at {there.address}; nothing has changed."
    wanted = artifacts.vouched(version, there.place)
    before = there.state.serving
    how = "canary" if percent and before else how
    try:
        with github.deployment(there.environment, wanted.commit, f"version {number}", there.address):
            with host.returning(there):
                exported = artifacts.download(version)
                there.say(f"version {number} is started")
                there.begin(wanted, exported)
                there.say("it is ready; its contract")
                contract.refuse(slots.url(there.candidate), exported, number)
                lines = tried(there, percent) if percent else []
                switch(there)
                environments.point(there.environment, lambda: number, how, seconds=time.monotonic() - begun)
                there.say("the alias has moved")
            there.keep()
            there.say("what served is drained")
    except Failure as failure:
        environments.failed(there.environment, number, how, str(failure))
        raise
    old = f"; version {before.version} is kept warm" if before else ""
    return "\n\n".join([f"Version {number} serves `{there.environment}` at {there.address}{old}.", *lines])


def tried(there: Host, percent: int) -> list[str]:
    old, new = there.state.serving, there.candidate
    if old is None:
        return [NOTHING_BEFORE]
    return canary.run(
        there.share, lambda: (counts.of(there, old), counts.of(there, new)), percent, there.settings.canary
    )


def switch(there: Host) -> None:
    """Everything to the candidate, which is watched for a while before that is final."""
    there.share(host.NEARLY)
    alarm = canary.alarm(there)
    there.say("it answers; watched")
    host.watch(there, alarm)


def in_cluster(
    version: registry.ModelVersion, target: str, percent: int, how: str, record: Record | None = None
) -> str:
    """As on a host; `record` is what there is to write down instead of a deployment."""
    number, begun, where = str(version.version), time.monotonic(), artifacts.place(target)
    there = kubernetes.Cluster(target, where, params.load().deploy)
    there.settle(artifacts.pointed(target))
    if there.serves(number):
        environments.point(target, lambda: number, how)
        return f"Version {number} serves `{target}` already; nothing has changed."
    wanted = artifacts.slot(version, where) if how == "rollback" else artifacts.vouched(version, where)
    old = there.serving()
    how = "canary" if percent and old else how
    lines: list[str] = []
    try:
        with github.deployment(target, wanted.commit, f"version {number}", where.address):
            with kubernetes.returning(there, old):
                exported = artifacts.download(version)
                there.begin(wanted)
                there.check(kubernetes.CANARY, exported, number)
                if percent:
                    lines = (
                        canary.run(there.share, there.look, percent, there.settings.canary) if old else [NOTHING_BEFORE]
                    )
                there.replace(wanted)
                there.check(kubernetes.STABLE, exported, number)
                seconds = time.monotonic() - begun
                if record:
                    record(seconds)
                else:
                    environments.point(target, lambda: number, how, seconds=seconds)
            there.finish()
    except Failure as failure:
        environments.failed(target, number, how, str(failure))
        raise
    return "\n\n".join([f"Version {number} serves `{target}` in namespace `{there.namespace}`.", *lines])
