"""Verb `models`: list the folders of this repository that hold a model, and which of them a change concerns.

It runs without installed packages: workflows build a matrix from its answer before any job has an environment.
"""

import argparse
import json
from pathlib import PurePosixPath

from delivery.adapters import git, github
from delivery.core import ownership, workspace


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the verb."""
    parser.add_argument(
        "--base",
        required=True,
        metavar="REV",
        help="revision to compare with; if it is empty or all zeros, as for a new branch, list all models",
    )


def main(options: argparse.Namespace) -> None:
    """Print the models that the change concerns, and hand them to the workflow as `models`."""
    known = listed()
    selected = concerned(known, since(options.base)) if options.base.strip("0") else known
    github.output(models=json.dumps(selected))
    names = ", ".join(f"`{name}`" for name in selected) or "none"
    sentence = f"{len(selected)} of {len(known)} models concerned: {names}"
    github.summary(sentence)
    print(f"models: {sentence.replace('`', '')}")


def listed() -> list[str]:
    """Return the folders of this repository that hold a model."""
    return folders(git.git("ls-files", "--", workspace.DVC_YAML, f"**/{workspace.DVC_YAML}").splitlines())


def suffix(folder: str) -> str:
    """Return what distinguishes the names of the model in a folder on GitHub, as `git.suffix` does inside it."""
    return "".join(f"-{part}" for part in PurePosixPath(folder).parts)


def since(base: str) -> list[str]:
    """Return the files that have changed since the branch left `base`."""
    return git.git("diff", "--name-only", f"{git.resolve(base)}...HEAD").splitlines()


def folders(signs: list[str]) -> list[str]:
    """Return the folders of these files, sorted."""
    return sorted(str(PurePosixPath(path).parent) for path in signs)


def concerned(models: list[str], changed: list[str]) -> list[str]:
    """Return each model that has a changed file, or all if something that they share has changed."""
    if any(map(shared, changed)):
        return models
    return [model for model in models if model in {owner(path, models) for path in changed}]


def shared(path: str) -> bool:
    """Return whether a file is one that all models of a repository share."""
    return any(PurePosixPath(path).is_relative_to(folder) for folder in ownership.ALL_MODELS)


def owner(path: str, models: list[str]) -> str:
    """Return the innermost model that contains a file; empty if none does."""
    return next((str(folder) for folder in PurePosixPath(path).parents if str(folder) in models), "")
