"""Verb `rollback`: an environment back to a version that served there before; nothing is built or trained."""

import argparse
import time

from delivery.adapters import github, provenance
from delivery.core import params
from delivery.core.errors import Failure
from delivery.deploy import artifacts, deploy, environments, rehearse
from delivery.deploy.targets import host, slots
from delivery.deploy.targets.host import Host
from delivery.probe import contract
from delivery.registry import history, registry, transitions


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("environment", help="such as staging or production")
    parser.add_argument("--to", default="", metavar="VERSION", help="instead of the one before")
    parser.add_argument("--reason", default="", help="kept with the version that is left")


def main(options: argparse.Namespace) -> None:
    said = run(options.environment, options.to, options.reason)
    github.summary(said)
    if github.inside():
        github.summary(history.recent(options.environment))
    print(said)


def run(target: str, to: str, reason: str) -> str:
    where = artifacts.place(target)
    if where.target == "rehearsal":
        return rehearsed(target, to, reason)
    if where.target == "kubernetes":
        return in_cluster(target, to, reason)
    with host.opened(target, where, params.load().deploy) as there:
        there.settle(lambda: artifacts.pointed(target))
        left, begun = there.state.serving, time.monotonic()
        if left is None:
            raise Failure(f"nothing serves {target}; deploy a version")
        with host.returning(there):
            if warm(there, to):
                there.warm()
                there.share(host.WHOLE)  # first of all: reading the registry takes longer than this
                there.say(f"version {there.candidate.version} was warm and answers")
            else:
                cold(there, to)
            finish(there, left.version, reason, begun)
        there.keep(rolled_back=True)
        serving = there.state.serving
        assert serving
    return told(target, serving.version, left.version) + f" It answers at {there.address}."


def warm(there: Host, to: str) -> bool:
    """Whether the version that is wanted is there already, and was not itself left for a reason."""
    kept = there.state.warm
    return bool(kept and to in ("", kept.version) and (to or not kept.rolled_back) and slots.ready(kept))


def cold(there: Host, to: str) -> None:
    """The version is started beside what serves, and takes over once it has kept its contract."""
    version = chosen(there.environment, to)
    exported = artifacts.download(version)
    there.begin(artifacts.slot(version, there.place), exported)
    contract.refuse(slots.url(there.candidate), exported, str(version.version))
    there.share(host.WHOLE)
    there.say(f"version {version.version} was started and answers")


def finish(there: Host, left: str, reason: str, begun: float) -> None:
    """Contract and records; the alias last."""
    number = there.candidate.version
    exported = slots.model(there.folder, there.candidate.name)
    contract.refuse(slots.url(there.candidate), exported, number)
    with github.deployment(there.environment, there.candidate.commit, f"rollback to version {number}", there.address):
        record(there.environment, left, number, reason, time.monotonic() - begun)


def in_cluster(target: str, to: str, reason: str) -> str:
    """The version is proven in a pod of its own first; then it takes the others' places."""
    version, left = chosen(target, to), artifacts.pointed(target)
    number = str(version.version)
    done = deploy.in_cluster(
        version, target, 0, "rollback", lambda seconds: record(target, left, number, reason, seconds)
    )
    return f"{told(target, number, left)} {done}"


def rehearsed(target: str, to: str, reason: str) -> str:
    begun = time.monotonic()
    left = registry.find(registry.connect(), target)
    version = chosen(target, to)
    number = str(version.version)
    with github.deployment(target, version.tags["git.commit"], f"rollback to version {number}"):
        rehearse.run(artifacts.download(version), number, version.tags.get("image.digest", ""), load=False)
        record(target, str(left.version), number, reason, time.monotonic() - begun)
    return told(target, number, str(left.version))


def chosen(target: str, to: str):
    """The version to go back to. Raises Failure when there is none, or it is what serves."""
    client = registry.connect()
    left = registry.find(client, target)
    version = registry.find(client, to or previous(target))
    if str(version.version) == str(left.version):
        raise Failure(f"version {version.version} is what {target} serves; name another with --to")
    return version


def record(target: str, left: str, number: str, reason: str, seconds: float) -> None:
    """Who, when and why on the version that is left; the alias on the other."""
    note = f"{provenance.now()} by {provenance.actor()}: {reason or 'no reason given'}"

    def mark() -> str:
        registry.tag(registry.connect(), left, {f"{target}.rolled_back": note})
        return number

    environments.point(target, mark, "rollback", reason, seconds)


def told(target: str, number: str, left: str) -> str:
    return f"`{target}` is back to version {number}; version {left} is marked as rolled back."


def previous(target: str) -> str:
    """The last version that served there before, and was not itself rolled back. Raises Failure when there is none."""
    versions = registry.versions(registry.connect())
    serving = next((str(version.version) for version in versions if target in version.aliases), "")
    bad = {str(version.version) for version in versions if f"{target}.rolled_back" in version.tags}
    for _, number in reversed(transitions.of(versions, target)):
        if number != serving and number not in bad:
            return number
    raise Failure(f"no earlier good version of {target} is known; name one with --to")
