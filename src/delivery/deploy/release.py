"""Verb `deploy`: a version to an environment, checked while it runs and before anything points to it.

In this first form the target is this machine: the runner's Docker engine where there is one and the version
has an image, else a process. It is checked, loaded and stopped: a rehearsal, after which the alias moves.
"""

import argparse

from delivery import files, github, registry
from delivery.deploy import environment, rehearse


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("version", help="a number or an alias of the registry")
    parser.add_argument("environment", help="that is to serve it, such as production")


def main(options: argparse.Namespace) -> None:
    client = registry.connect()
    version = registry.find(client, options.version)
    number = str(version.version)
    with github.deployment(options.environment, version.tags["git.commit"], f"version {number}"):
        folder = registry.download(client, version, files.CACHE / "versions" / number)
        rehearse.run(folder / "export", number, version.tags.get("image.digest", ""))
        environment.point(options.environment, lambda: number, "deploy")
    said = f"Version {number} is `{options.environment}`. {environment.REHEARSAL.format(options.environment)}"
    github.summary(said)
    print(said)
