"""Verb `refresh`: bring open pull requests up to date that a push to their base branch has put into conflict.

Two pull requests that change parameters always conflict in dvc.lock and reports/. GitHub then runs no workflow for the
second one and says nothing. Where only results and separate keys of params.yaml are in the way, the base is merged and
the report started, which makes the results again. Otherwise the pull request gets a comment.
"""

import argparse
from collections.abc import Container, Mapping
from typing import Any

from delivery.adapters import git, github
from delivery.core.errors import Failure
from delivery.pull_requests import acceptance, merging, proposal
from delivery.render.markdown import code

RESULTS = "results/pull-"  # branches that the verb `command` makes
DEPENDABOT = "dependabot[bot]"
KEPT = "refs/refresh/"  # what is fetched, by the pull request's number
TRIES = 3  # merges of a branch that somebody pushes to at the same time


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the verb."""
    parser.add_argument("--branch", required=True, help="base branch that was pushed")


def main(options: argparse.Namespace) -> int:
    """Bring each open pull request of the branch up to date, print what was done, and return 1 if one failed."""
    opened = github.pages("/pulls")
    drop_results({pull["number"] for pull in opened})
    pulls = [pull for pull in opened if pull["base"]["ref"] == options.branch]
    if not pulls:
        print(f"no pull request into {options.branch} is open")
        return 0
    commits = fetch(options.branch, *(pull["number"] for pull in pulls))
    failed = False
    for pull in pulls:
        try:
            line = refresh(pull, commits[0], commits[pull["number"]])
        except Failure as failure:
            line, failed = f"#{pull['number']} is not up to date: {failure}", True
        if line:
            github.summary(line)
            print(line)
    return 1 if failed else 0


def fetch(branch: str, *numbers: int) -> dict[int, str]:
    """Fetch a branch and the heads of pull requests at once; return their commits by number, the branch's as 0."""
    sources = {0: f"refs/heads/{branch}"} | {number: f"refs/pull/{number}/head" for number in numbers}
    git.git("fetch", "--quiet", "origin", *(f"+{source}:{KEPT}{number}" for number, source in sources.items()))
    return {number: git.git("rev-parse", f"{KEPT}{number}") for number in sources}


def refresh(pull: Mapping[str, Any], base: str, head: str) -> str:
    """Merge the base into the pull request's branch or say why not; return a sentence, empty if nothing conflicts."""
    number, branch, name = pull["number"], pull["head"]["ref"], pull["base"]["ref"]
    for _ in range(TRIES):
        merged = merging.merge(base, head, f"Merge {name} into {branch}")
        if merged is None:
            return ""
        if pull["user"]["login"] == DEPENDABOT:
            return f"#{number} conflicts with `{name}`: Dependabot brings its own pull requests up to date."
        if merged.conflicts or not own(pull):
            proposal.comment_once(number, advice(name, merged.conflicts))
            return f"#{number} conflicts with `{name}`: its author has to merge it."
        completed = git.run("push", "--quiet", "origin", f"{merged.commit}:refs/heads/{branch}")
        if completed.returncode == 0:
            start_report(pull, branch)
            return f"#{number} has `{name}` merged into it as {merged.commit[:8]}; its results are made again."
        before, head = head, fetch(name, number)[number]
        if head == before:  # nobody has pushed, so GitHub refuses this merge
            proposal.comment_once(number, advice(name, ()))
            return f"#{number} conflicts with `{name}`, and GitHub refuses the merge: {git.reason(completed)}"
    raise Failure(f"{branch} was pushed to {TRIES} times meanwhile; start this workflow again")


def own(pull: Mapping[str, Any]) -> bool:
    """Return whether the pull request's branch is of this repository."""
    return bool((pull["head"]["repo"] or {}).get("full_name") == github.repository())


def start_report(pull: Mapping[str, Any], branch: str) -> None:
    """Dispatch the report that makes the results of a pull request again and commits them to the branch.

    On a branch that is not the pull request's own the report has no number: its page is not of the head commit.
    """
    number = 0 if branch == branch_of_results(pull["number"]) else pull["number"]
    inputs = {"number": str(number), "results": "true"}
    if reason := acceptance.given(pull).reason:
        inputs[acceptance.KEY] = reason
    if pull["base"]["ref"] != github.event()["repository"]["default_branch"]:
        inputs["base"] = pull["base"]["ref"]
    github.ask("POST", "/actions/workflows/ci.yml/dispatches", {"ref": branch, "inputs": inputs})


def branch_of_results(number: int) -> str:
    """Return the branch of this repository for the results of a fork's pull request, which no workflow may push there."""
    return f"{RESULTS}{number}"


def drop_results(opened: Container[int]) -> None:
    """Delete the branches of results whose pull requests are not open any more."""
    lines = git.git("ls-remote", "origin", f"refs/heads/{RESULTS}*").splitlines()
    names = [line.partition("\trefs/heads/")[2] for line in lines]
    numbers = {name: name.removeprefix(RESULTS) for name in names}
    if left := [name for name, number in numbers.items() if number.isdecimal() and int(number) not in opened]:
        git.git("push", "--quiet", "origin", *(f":refs/heads/{name}" for name in left))


def advice(base: str, conflicts: tuple[str, ...]) -> str:
    """Return the comment for a pull request that a person has to merge."""
    files = f" in {', '.join(code(name) for name in conflicts[:5] if '`' not in name)}" if conflicts else ""
    hint = "" if conflicts else " Or a maintainer writes the comment `/results`."
    return (
        f"This pull request conflicts with `{base}`{files}. GitHub runs no checks while it does. Merge `{base}` into its branch: "
        f"`git fetch origin && git merge origin/{base}`, then `git checkout --theirs dvc.lock reports` for the results, "
        f"`delivery reproduce`, commit and push.{hint}"
    )
