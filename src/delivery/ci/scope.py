"""Verb `scope`: decide which jobs of ci a change needs, by the files that it changes.

Documentation needs none, parameters and data need the model, the problem's code its tests as well, and everything else,
known or not, needs everything.
It runs without installed packages: it is the first step of the first job.
"""

import argparse
import json
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

from delivery.adapters import git, github
from delivery.ci import models
from delivery.core import ownership, workspace
from delivery.core.errors import Failure

DOCUMENTATION, PARAMETERS, PROBLEM, MACHINERY = "documentation", "parameters", "problem", "machinery"
MEANING = {
    DOCUMENTATION: "Only documentation changed: no model was built or judged.",
    PARAMETERS: "Parameters, data or results changed, and no code, whose tests are left out.",
    PROBLEM: "The problem changed, and not the machinery, whose tests are left out.",
    MACHINERY: "The machinery changed: every job runs.",
}


class Jobs(NamedTuple):
    """What the jobs of ci have to do."""

    suites: list[str]  # of the machinery, a job each
    report: bool
    model_suites: list[str]  # on the model, in the job `report`
    image: bool


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the verb."""
    parser.add_argument(
        "--base",
        default="",
        metavar="REV",
        help="revision to compare with; without one, or with one that is unknown, everything counts as changed",
    )
    parser.add_argument(
        "--pushed",
        action=argparse.BooleanOptionalAction,
        help="the commit is on a branch that delivers: promote judges its model and builds its image",
    )
    parser.add_argument("--number", type=int, default=0, metavar="N", help="number of the pull request; 0 for none")
    parser.add_argument("--sha", default="", metavar="COMMIT", help="head of the pull request, for its report")
    parser.add_argument("--suites", default="[]", metavar="JSON", help="test folders of the machinery")
    parser.add_argument("--problem-suites", default="[]", metavar="JSON", help="test folders of the problem's code")
    parser.add_argument("--model-suites", default="[]", metavar="JSON", help="test folders that need the model")
    parser.add_argument(
        "--machinery-model-suites",
        default="[]",
        metavar="JSON",
        help="test folders that need the model, and only matter if the machinery changed",
    )


def main(options: argparse.Namespace) -> None:
    """Hand the decision to the workflow; with only documentation changed, write the report that says so."""
    concern = concerned(changed(options.base))
    names = ("suites", "problem_suites", "model_suites", "machinery_model_suites")
    decided = jobs(concern, *(folders(name, getattr(options, name)) for name in names), pushed=bool(options.pushed))
    github.output(
        concern=concern,
        suites=json.dumps(decided.suites),
        report=json.dumps(decided.report),
        model_suites=json.dumps(decided.model_suites),
        image=json.dumps(decided.image),
        base="" if concern == MACHINERY else options.base,
        suffix=git.suffix(),
    )
    if concern == DOCUMENTATION:
        write_report(options.number, options.sha or git.head() or "", options.base)
    github.summary(MEANING[concern])
    print(f"scope: {MEANING[concern]}")


def folders(option: str, text: str) -> list[str]:
    """Return the list that an option gives as JSON. Raise `Failure` if it is something else."""
    try:
        given = json.loads(text)
    except ValueError:
        given = None
    if not isinstance(given, list) or not all(isinstance(name, str) for name in given):
        raise Failure(f"{text!r} is no list of folders; give --{option.replace('_', '-')} as '[\"unit\"]'")
    return given


def changed(base: str) -> list[str] | None:
    """Return the files that changed since the branch left `base`, relative to the model's folder.

    Return None if that is not known. What other models of the repository consist of is left out, as in `models`.
    """
    if not base.strip("0"):
        return None
    try:
        commit = git.resolve(base)
    except Failure:  # a branch whose history was replaced, for example
        return None
    # A checkout of a pull request is one commit, its merge into the base, whose parents are not known.
    since = git.git("merge-base", commit, "HEAD", check=False) or commit
    names = git.git("diff", "--name-only", "--no-renames", since, "HEAD").splitlines()
    folder = git.inside()
    return [name for path in names if (name := _relative(PurePosixPath(path), folder.as_posix()))]


def _relative(path: PurePosixPath, folder: str) -> str:
    if path.is_relative_to(folder):
        return path.relative_to(folder).as_posix()
    return path.as_posix() if models.shared(path.as_posix()) else ""


def concerned(changed: Sequence[str] | None) -> str:
    """Return what a change concerns. Nothing changed means that somebody wants everything run."""
    if not changed:
        return MACHINERY
    if all(map(ownership.is_documentation, changed)):
        return DOCUMENTATION
    others = [path for path in changed if not ownership.is_documentation(path)]
    if all(map(ownership.is_parameters, others)):
        return PARAMETERS
    return PROBLEM if all(map(ownership.is_problem, others)) else MACHINERY


def jobs(
    concern: str,
    suites: Iterable[str],
    problem_suites: Iterable[str],
    model_suites: Iterable[str],
    machinery_model_suites: Iterable[str],
    *,
    pushed: bool,
) -> Jobs:
    """Return what the jobs have to do. A push is judged by promote, which also builds and checks the image."""
    if concern == MACHINERY:
        return Jobs([*suites], True, [*problem_suites, *model_suites, *machinery_model_suites], not pushed)
    if concern == PROBLEM:
        return Jobs([], not pushed, [*problem_suites, *model_suites], not pushed)
    if concern == PARAMETERS:
        return Jobs([], not pushed, [*model_suites], not pushed)
    return Jobs([], False, [], False)


def write_report(number: int, commit: str, base: str) -> None:
    """Write review.json for a change of documentation; `render.review` defines its form."""
    review = {
        "number": number,
        "sha": commit,
        "suffix": git.suffix(),
        "base": base,
        "verdict": "pass",
        "documentation_only": True,
    }
    workspace.REVIEW.mkdir(parents=True, exist_ok=True)
    (workspace.REVIEW / "review.json").write_text(json.dumps(review))
