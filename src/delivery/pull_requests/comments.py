"""The one comment of a title on a pull request: whose report it may show, and how it is posted or updated."""

import re

from msgspec import Struct

from delivery.adapters import cml, github
from delivery.core import workspace
from delivery.core.errors import Failure

# CML writes this and looks for it, so that its comment is found again, whoever posted it.
WATERMARK = r'!\[\]\(https://cml\.dev/watermark\.png#[0-9a-fA-F]+ "CML watermark {}"\)'
FIRST_PAGE = 30  # CML looks no further
AUTHOR = "github-actions[bot]"  # of what a workflow's own token writes; no person can have this name


class WorkflowRun(Struct, frozen=True):
    """A workflow run as GitHub describes it."""

    id: int
    path: str  # of its workflow, without the ref
    commit: str
    branch: str
    repository: str  # owner/name of the branch
    address: str


def workflow_run(run_id: int) -> WorkflowRun:
    """Return the run with this id."""
    reply = github.ask("GET", f"/actions/runs/{run_id}")
    return WorkflowRun(
        id=reply["id"],
        path=reply["path"].partition("@")[0],
        commit=reply["head_sha"],
        branch=reply["head_branch"],
        repository=(reply["head_repository"] or {}).get("full_name", ""),  # none if the fork was deleted
        address=reply["html_url"],
    )


def proven_number(number: int, claimed: str, run: WorkflowRun) -> int | None:
    """Return the claimed number if the pull request is the run's own, None if there is none or it has moved on.

    None, too, if the run's fork was deleted: then nothing proves whose run it is.

    Raise `Failure` if the artifact claims a number or commit that GitHub contradicts.
    """
    if run.path != ".github/workflows/ci.yml":
        raise Failure(f"run {run.id} is not one of ci; nothing is posted")
    if claimed != run.commit:
        raise Failure(f"the artifact says it is of {claimed[:8]}, the run is of {run.commit[:8]}; nothing is posted")
    if number == 0 or not run.repository:
        return None
    pull = github.ask("GET", f"/pulls/{number}")
    source = (pull["head"]["repo"] or {}).get("full_name")
    if source != run.repository or pull["head"]["ref"] != run.branch:
        raise Failure(f"pull request #{number} is not the one that run {run.id} is of; nothing is posted")
    if pull["state"] != "open" or pull["head"]["sha"] != run.commit:
        return None
    return number


def post(number: int, sha: str, title: str) -> str:
    """Post or update the comment by CML, else by the API, and return how, for the summary.

    A comment of somebody else is never updated, whatever it contains: its author could edit the report afterwards.
    """
    earlier = github.pages(f"/issues/{number}/comments")
    mark = re.compile(WATERMARK.format(re.escape(title)))
    marked = [entry for entry in earlier if mark.search(entry["body"])]
    known = next((entry for entry in reversed(marked) if entry["user"]["login"] == AUTHOR), None)
    if any(entry["user"]["login"] != AUTHOR for entry in marked):
        why = "CML would update a comment of somebody else, which has the mark of this one"
    elif known in earlier[FIRST_PAGE:]:
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
    """Return why CML failed, or "". It never publishes files, because its default host is open to everybody."""
    options = ["--update", "--publish=false", f"--target=pr/{number}", f"--watermark-title={title}"]
    return cml.run("comment", "create", *options, str(workspace.COMMENT))
