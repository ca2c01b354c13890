"""Verb `models`: the folders of this repository that hold a model, and which of them a change concerns.

Needs nothing installed: a matrix of the workflows is made of its answer before any of their jobs has a Python.
"""

import argparse
import json
from pathlib import PurePosixPath

from delivery.adapters import git, github
from delivery.core import ownership, workspace


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--base", required=True, metavar="REV", help="what to compare with; nothing or zeros: all models"
    )


def main(options: argparse.Namespace) -> None:
    known = folders(git.git("ls-files", "--", workspace.DVC_YAML, f"**/{workspace.DVC_YAML}").splitlines())
    found = concerned(known, since(options.base)) if options.base.strip("0") else known
    github.output(models=json.dumps(found))
    said = f"{len(found)} of {len(known)} models concerned: {', '.join(f'`{name}`' for name in found) or 'none'}"
    github.summary(said)
    print(f"models: {said.replace('`', '')}")


def since(base: str) -> list[str]:
    """Files that differ from where the base was left."""
    return git.git("diff", "--name-only", f"{git.resolve(base)}...HEAD").splitlines()


def folders(signs: list[str]) -> list[str]:
    return sorted(str(PurePosixPath(path).parent) for path in signs)


def concerned(models: list[str], changed: list[str]) -> list[str]:
    """Each model that has a changed file; all of them where what they share has changed."""
    if any(PurePosixPath(path).is_relative_to(shared) for path in changed for shared in ownership.ALL_MODELS):
        return models
    return [model for model in models if model in {owner(path, models) for path in changed}]


def owner(path: str, models: list[str]) -> str:
    """The innermost model's folder that a file lies in."""
    return next((str(folder) for folder in PurePosixPath(path).parents if str(folder) in models), "")
