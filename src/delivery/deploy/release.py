"""Verb `deploy`: a version to an environment, beside what runs there, checked before anything points to it."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

from delivery import contract, files, github, params, records, registry
from delivery.deploy import canary, cluster, counts, environment, host, rehearse, slots
from delivery.deploy.host import Host
from delivery.deploy.state import Slot
from delivery.errors import Failure
from delivery.params import Place

Record = Callable[[float], None]
REHEARSAL = Place(target="rehearsal")
NOTHING_BEFORE = "Nothing served before, so there was nothing to compare with: no canary."


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("version", help="a number or an alias of the registry")
    parser.add_argument("environment", help="that is to serve it, such as production")
    parser.add_argument("--canary", type=share, default=0, metavar="10%", help="begin with this share of the requests")


def share(text: str) -> int:
    """Per cent, as a person writes it; none for nothing."""
    number = text.strip().removesuffix("%").strip() or "0"
    if not (number.isdigit() and int(number) < 100):
        raise argparse.ArgumentTypeError(f"{text!r} is no share; write 10%, or 0 for no canary")
    return int(number)


def main(options: argparse.Namespace) -> None:
    said = run(options.version, options.environment, options.canary)
    github.summary(said)
    print(said)


def place(environment: str) -> Place:
    return params.load().deploy.environments.get(environment, REHEARSAL)


def run(which: str, target: str, percent: int = 0, how: str = "deploy") -> str:
    """Returns what there is to tell. Raises Failure when the version does not serve; what ran before then runs."""
    client = registry.connect()
    version = registry.find(client, which)
    where = place(target)
    if where.target == "rehearsal":
        return rehearsed(version, target, how)
    if where.target == "kubernetes":
        return in_cluster(version, target, percent, how)
    with host.opened(target, where, params.load().deploy) as there:
        there.settle(lambda: pointed(target))
        return beside(there, version, percent, how)


def rehearsed(version: registry.ModelVersion, target: str, how: str) -> str:
    """On this machine for as long as the checks take; then the alias moves."""
    number = str(version.version)
    with github.deployment(target, version.tags.get("git.commit", ""), f"version {number}"):
        image = version.tags.get("image.digest", "")
        github.refuse_unattested(image)
        rehearse.run(download(version), number, image)
        environment.point(target, lambda: number, how)
    return f"Version {number} is `{target}`. {environment.REHEARSAL.format(target)}"


def beside(there: Host, version: registry.ModelVersion, percent: int, how: str) -> str:
    number, begun = str(version.version), time.monotonic()
    if there.serves(number):
        environment.point(there.environment, lambda: number, how)  # where a killed process had not come to it
        return f"Version {number} serves `{there.environment}` already at {address(there)}; nothing has changed."
    wanted = slot(version, there.place)
    before = there.state.serving
    how = "canary" if percent and before else how
    try:
        with github.deployment(there.environment, wanted.commit, f"version {number}", address(there)):
            with host.returning(there):
                exported = download(version)
                step(there, f"version {number} is started")
                there.begin(wanted, exported)
                step(there, "it is ready; its contract")
                contract.refuse(slots.url(there.candidate), exported, number)
                lines = tried(there, percent) if percent else []
                switch(there)
                environment.point(there.environment, lambda: number, how, seconds=time.monotonic() - begun)
                step(there, "the alias has moved")
            there.keep()
            step(there, "what served is drained")
    except Failure as failure:
        environment.failed(there.environment, number, how, str(failure))
        raise
    old = f"; version {before.version} is kept warm" if before else ""
    return "\n\n".join([f"Version {number} serves `{there.environment}` at {address(there)}{old}.", *lines])


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
    step(there, "it answers; watched")
    host.watch(there, alarm)


def in_cluster(
    version: registry.ModelVersion, target: str, percent: int, how: str, record: Record | None = None
) -> str:
    """As on a host; `record` is what there is to write down instead of a deployment."""
    number, begun, where = str(version.version), time.monotonic(), place(target)
    there = cluster.Cluster(target, where, params.load().deploy)
    there.settle(pointed(target))
    if there.serves(number):
        environment.point(target, lambda: number, how)
        return f"Version {number} serves `{target}` already; nothing has changed."
    wanted, old = slot(version, where), there.serving()
    how = "canary" if percent and old else how
    lines: list[str] = []
    try:
        with github.deployment(target, wanted.commit, f"version {number}", where.address):
            with cluster.returning(there, old):
                exported = download(version)
                there.begin(wanted)
                there.check(cluster.CANARY, exported, number)
                if percent:
                    lines = there.try_out(percent) if old else [NOTHING_BEFORE]
                there.replace(wanted)
                there.check(cluster.STABLE, exported, number)
                seconds = time.monotonic() - begun
                if record:
                    record(seconds)
                else:
                    environment.point(target, lambda: number, how, seconds=seconds)
            there.finish()
    except Failure as failure:
        environment.failed(target, number, how, str(failure))
        raise
    return "\n\n".join([f"Version {number} serves `{target}` in namespace `{there.namespace}`.", *lines])


def slot(version: registry.ModelVersion, where: Place) -> Slot:
    """What is to run. Raises Failure for a version that this target cannot run, or whose image nobody vouches for."""
    image = version.tags.get("image.digest", "") if where.target != "process" else ""
    if where.target != "process":
        if "sha256:" not in image:
            raise Failure(f"version {version.version} has no image by digest; promote it, or use the target process")
        github.refuse_unattested(image)
    return Slot(
        "",
        0,
        str(version.version),
        version.tags[registry.DIGEST],
        image,
        version.tags.get("git.commit", ""),
        records.now(),
    )


def download(version: registry.ModelVersion) -> Path:
    """The exported model, of the digest that was registered."""
    to = files.CACHE / "versions" / str(version.version)
    return registry.download(registry.connect(), version, to) / "export"


def pointed(target: str) -> str:
    """The version that the environment's alias names."""
    versions = registry.versions(registry.connect())
    return next((str(version.version) for version in versions if target in version.aliases), "")


def address(there: Host) -> str:
    return there.place.address or there.url


def step(there: Host, what: str) -> None:
    print(f"{there.environment}: {what}", flush=True)
