"""Start the checks of a pull request that was opened or updated with a workflow's own token, which starts none."""

from pathlib import Path

from delivery.adapters import github
from delivery.core.errors import Failure, GitHubError
from delivery.pull_requests import acceptance

CHECKS = "ci.yml"


def base_of_event() -> str:
    """Return the branch that the pull request of this workflow run is into; empty if it is the default one, or there is none."""
    event = github.event()
    pull, inputs = event.get("pull_request") or {}, event.get("inputs") or {}
    base = (pull.get("base") or {}).get("ref") or inputs.get("base") or ""
    return "" if base == (event.get("repository") or {}).get("default_branch") else str(base)


def start(branch: str, commit: str, number: int, accepted: str = "", base: str = "") -> None:
    """Dispatch the checks, unless they were dispatched for this commit already, so that a rerun starts what is missing.

    `accepted` is the reason that a label of the pull request gives for a break, and `base` the branch that it is into if that
    is not the default one: a dispatched run sees neither. Raise `Failure` if the branch has a workflow that knows no number.
    """
    runs = github.ask("GET", f"/actions/runs?event=workflow_dispatch&head_sha={commit}&per_page=100")["workflow_runs"]
    if CHECKS in {Path(run["path"].partition("@")[0]).name for run in runs}:
        return
    inputs = {"number": str(number)}
    if accepted:
        inputs[acceptance.KEY] = accepted
    if base:
        inputs["base"] = base
    try:
        github.ask("POST", f"/actions/workflows/{CHECKS}/dispatches", {"ref": branch, "inputs": inputs})
    except GitHubError as error:
        if error.status != 422:
            raise
        raise Failure(
            f"the checks of {branch} were not started, because its {CHECKS} is from before the report became part of ci; "
            "merge the base into the branch"
        ) from error
