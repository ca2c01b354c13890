"""The one comment of a title on a pull request: whose report it may show, and how it is posted or updated."""

import re
from typing import Any

from delivery.adapters import cml, github
from delivery.core import workspace
from delivery.core.errors import Failure

# What CML writes and looks for, so that its comment is found again whoever posted it.
WATERMARK = r'!\[\]\(https://cml\.dev/watermark\.png#[0-9a-fA-F]+ "CML watermark {}"\)'
FIRST_PAGE = 30  # CML looks no further


def proven_number(number: int, claimed: str, run: dict[str, Any]) -> int | None:
    """Return the claimed number if the pull request is the run's own, None if there is none or it has moved on.

    Raise Failure if the artifact claims a number or commit that GitHub contradicts.
    """
    if run["path"].partition("@")[0] != ".github/workflows/report.yml":
        raise Failure(f"run {run['id']} is not one of the report; nothing is posted")
    sha = run["head_sha"]
    if claimed != sha:
        raise Failure(f"the artifact says it is of {claimed[:8]}, the run is of {sha[:8]}; nothing is posted")
    if number == 0:
        return None
    pull = github.ask("GET", f"/pulls/{number}")
    source = (pull["head"]["repo"] or {}).get("full_name")
    if source != run["head_repository"]["full_name"] or pull["head"]["ref"] != run["head_branch"]:
        raise Failure(f"pull request #{number} is not the one that run {run['id']} is of; nothing is posted")
    if pull["state"] != "open" or pull["head"]["sha"] != sha:
        return None
    return number


def post(number: int, sha: str, title: str) -> str:
    """Post or update the comment by CML, else by the API, and return how, for the summary."""
    earlier = github.pages(f"/issues/{number}/comments")
    mark = re.compile(WATERMARK.format(re.escape(title)))
    known = next((entry for entry in reversed(earlier) if mark.search(entry["body"])), None)
    if known in earlier[FIRST_PAGE:]:
        why = f"CML sees {FIRST_PAGE} comments, there are more"
    elif why := by_cml(number, title):
        why = f"CML: {why}"
    else:
        return "by CML"
    body = {
        "body": f'{workspace.COMMENT.read_text()}\n\n![](https://cml.dev/watermark.png#{sha} "CML watermark {title}")'
    }
    if known:
        github.ask("PATCH", f"/issues/comments/{known['id']}", body)
    else:
        github.ask("POST", f"/issues/{number}/comments", body)
    return f"without CML ({why})"


def by_cml(number: int, title: str) -> str:
    """Return why CML failed, or nothing. It never publishes files: its default host is open to everybody."""
    options = ["--update", "--publish=false", f"--target=pr/{number}", f"--watermark-title={title}"]
    return cml.run("comment", "create", *options, str(workspace.COMMENT))
