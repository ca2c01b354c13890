"""Read from pull requests whether they may break with clients: a label, and the reason as a line of the description.

A label needs the right to triage, which the author of a pull request from a fork does not have.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from delivery.adapters import git, github
from delivery.core.errors import Failure

LABEL = "compatibility: breaking"
KEY = "compatibility_reason"  # of the line, and of the input that hands the reason to a dispatched report
LINE = re.compile(rf"^[ \t>*-]*`?{KEY}`?[ \t]*:[ \t]*(\S[^\r\n]*)", re.MULTILINE)
LONGEST = 500  # characters of a reason
MOST = 50  # commits whose pull requests are looked up


class Acceptance(Struct, frozen=True):
    """The reason why a break is accepted; or, if it is not though a label is set, what is missing."""

    reason: str = ""
    missing: str = ""


def given(pull: Mapping[str, Any]) -> Acceptance:
    """Return what a pull request accepts, as GitHub's API and events describe it."""
    if LABEL not in {label["name"] for label in pull["labels"]}:
        return Acceptance()
    if line := LINE.search(pull["body"] or ""):
        return Acceptance(line[1].strip()[:LONGEST])
    return Acceptance(
        missing=f"pull request #{pull['number']} has the label `{LABEL}`; write the reason into its description, as a line "
        f"`{KEY}: ...`, then remove the label and set it again"
    )


def of_event() -> Acceptance:
    """Return what the pull request accepts that started this workflow run, or that the run was dispatched for."""
    event = github.event()
    if pull := event.get("pull_request"):
        return given(pull)
    return Acceptance(str((event.get("inputs") or {}).get(KEY) or "")[:LONGEST])


def merged_since(commit: str) -> Acceptance:
    """Return what the pull requests accept that were merged after a commit; of the last commit alone if it is unknown.

    An earlier push may have been skipped for this one. Outside a workflow nothing is accepted.
    """
    if not github.inside():
        return Acceptance()
    try:
        pulls = merged(commits_since(commit))
    except Failure as failure:
        return Acceptance(missing=f"the labels of the merged pull requests are not known: {failure}")
    found = [given(pull) for pull in pulls]
    reasons = "; ".join(each.reason for each in found if each.reason)
    return Acceptance(reasons[:LONGEST], next((each.missing for each in found if each.missing and not reasons), ""))


def commits_since(commit: str) -> list[str]:
    """Return the newest commits of this branch that came after `commit`, newest first; the last one in any case."""
    since = ["HEAD", f"^{commit}"] if commit else ["--max-count=1", "HEAD"]
    listed = git.git("rev-list", "--first-parent", f"--max-count={MOST}", *since, check=False).split()
    return listed or [git.head() or ""]


def merged(commits: Sequence[str]) -> list[Mapping[str, Any]]:
    """Return the merged pull requests of the commits, each once."""
    pulls = [pull for commit in commits for pull in github.ask("GET", f"/commits/{commit}/pulls") if pull["merged_at"]]
    return list({pull["number"]: pull for pull in pulls}.values())
