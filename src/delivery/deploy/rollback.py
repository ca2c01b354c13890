"""Verb `rollback`: an environment back to a version that served there before; nothing is built or trained."""

import argparse
import os

from delivery import files, github, records, registry
from delivery.deploy import environment, rehearse
from delivery.errors import Failure


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("environment", help="such as staging or production")
    parser.add_argument("--to", default="", metavar="VERSION", help="instead of the one before")
    parser.add_argument("--reason", default="", help="kept with the version that is left")


def main(options: argparse.Namespace) -> None:
    client = registry.connect()
    left = registry.find(client, options.environment)
    wanted = options.to or previous(options.environment)
    version = registry.find(client, wanted)
    number = str(version.version)
    if number == str(left.version):
        raise Failure(f"version {number} is what {options.environment} serves; name another with --to")
    with github.deployment(options.environment, version.tags["git.commit"], f"rollback to version {number}"):
        folder = registry.download(client, version, files.CACHE / "versions" / number)
        rehearse.run(folder / "export", number, version.tags.get("image.digest", ""), load=False)
        note = f"{records.now()} by {os.environ.get('GITHUB_ACTOR') or records.executor()}: {options.reason or 'no reason given'}"

        def mark() -> str:
            registry.tag(registry.connect(), str(left.version), {f"{options.environment}.rolled_back": note})
            return number

        environment.point(options.environment, mark, f"rollback: {options.reason or 'no reason given'}")
    said = f"`{options.environment}` is back to version {number}; version {left.version} is marked as rolled back."
    github.summary(said)
    print(said)


def previous(target: str) -> str:
    """The last version that served there before, and was not itself rolled back. Raises Failure when there is none."""
    versions = registry.versions(registry.connect())
    serving = next((str(version.version) for version in versions if target in version.aliases), "")
    bad = {str(version.version) for version in versions if f"{target}.rolled_back" in version.tags}
    for _, number in reversed(registry.history(versions, target)):
        if number != serving and number not in bad:
            return number
    raise Failure(f"no earlier good version of {target} is known; name one with --to")
