"""Verb `command`: carry out `/results`, which a maintainer wrote as a comment of a pull request.

The results of any pull request are made again, also of a fork or Dependabot, whose own runs may not push. No file of the
pull request is checked out here. The workflow `ci` runs its code with a token that only reads; another job, of the
default branch's code, pushes the results. A dispatched run takes its workflow files from the branch, so those of a branch
that not a person with write access pushed must be those of the base as it is now: older ones may have had a hole.
"""

import argparse
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from delivery.adapters import git, github
from delivery.ci import refresh
from delivery.core.errors import Failure, GitHubError
from delivery.pull_requests import merging

RESULTS = "/results"
WRITERS = ("admin", "write")  # GitHub calls `maintain` write here


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add no options: the comment is read from the event that started the workflow."""


def main(_: argparse.Namespace) -> None:
    """Carry out the comment's command and answer it on the pull request."""
    event = github.event()
    if "comment" not in event:
        raise Failure("only the workflow command runs this verb, for a comment; write /results in the pull request")
    comment, number = event["comment"], event["issue"]["number"]
    if comment["body"].split()[:1] != [RESULTS]:
        print(f"the comment is not {RESULTS}")
        return
    if not may_write(comment["user"]["login"]):
        github.summary(f"{comment['user']['login']} may not write to this repository, so nothing was done.")
        return
    text = make_results(github.ask("GET", f"/pulls/{number}"))
    github.summary(text)
    github.ask("POST", f"/issues/{number}/comments", {"body": text})


def may_write(login: str) -> bool:
    """Return whether a person may push to this repository: a collaborator may be one who only reads."""
    try:
        reply = github.ask("GET", f"/collaborators/{quote(login, safe='')}/permission")
    except GitHubError as error:
        if error.status != 404:
            raise
        return False
    return reply["permission"] in WRITERS


def make_results(pull: Mapping[str, Any]) -> str:
    """Start the run of ci that makes the results of a pull request again, and return what to expect or why not."""
    number, base = pull["number"], pull["base"]["ref"]
    if pull["state"] != "open":
        return "This pull request is closed, so its results are not made again."
    commits = refresh.fetch(base, number)
    head = commits[number]
    own = refresh.own(pull)
    trusted = own and pull["user"]["login"] != refresh.DEPENDABOT
    if not trusted and workflows_differ(f"{commits[0]}...{head}"):
        return "This pull request changes `.github`, which a run would obey, so its results have to be made by hand."
    outdated = not trusted and workflows_differ(commits[0], head)
    merged = merging.merge(commits[0], head, f"Merge {base} into {pull['head']['ref']}", always=outdated)
    if merged and merged.conflicts:
        return refresh.advice(base, merged.conflicts)
    commit = merged.commit if merged else head
    if not trusted and workflows_differ(commits[0], commit):
        return f"The `.github` of this pull request, which a run would obey, is not that of `{base}`: merge `{base}` into it."
    branch = pull["head"]["ref"] if own else refresh.branch_of_results(number)
    if merged or not own:
        # The branch for a fork belongs to nobody: what an earlier command left there is replaced.
        completed = git.run("push", "--quiet", "origin", f"{'' if own else '+'}{commit}:refs/heads/{branch}")
        if completed.returncode:
            return f"GitHub refuses a push to `{branch}`: {git.reason(completed)}. {refresh.advice(base, ())}"
    refresh.start_report(pull, branch)
    return answer(branch, head, base if merged else "", own=own)


def workflows_differ(*revisions: str) -> bool:
    """Return whether a workflow or action differs between two commits, or since the one that `base...head` has in common."""
    completed = git.run("diff", "--quiet", *revisions, "--", ".github")
    if completed.returncode not in (0, 1):
        raise Failure(f"git diff: {git.reason(completed)}")
    return completed.returncode == 1


def answer(branch: str, head: str, merged: str, *, own: bool) -> str:
    """Return the comment that says what is being done, and for a fork how its author gets the results."""
    address = f"{github.server()}/{github.repository()}"
    with_base = f", with `{merged}` merged into it," if merged else ""
    runs = f"{address}/actions/workflows/ci.yml?query=branch%3A{quote(branch, safe='')}"
    begun = f"The results of {head[:8]}{with_base} are made again by [ci]({runs})."
    if own:
        return f"{begun} A commit follows if they change."
    return (
        f"{begun} No workflow may push to a fork, so they go to the branch `{branch}` of this repository. When the run has "
        f"ended, whether green or not, take them into yours: `git pull {address} {branch} && git push`."
    )
