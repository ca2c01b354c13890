"""Verb `unblock`: cancel runs that hold up a rollback while they wait for somebody's approval.

A job that waits for its environment's reviewers is in its concurrency group already. A rollback that is started later
would wait behind it for an approval that nobody wants to give any more.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from delivery.adapters import github
from delivery.core import waiting
from delivery.core.errors import GitHubError

WORKFLOW = "rollback.yml"  # whose runs wait for an approval of their own
PATIENCE = 600  # seconds; what is being deployed after an approval may take as long
TICK = 2


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the verb."""
    parser.add_argument("environment", help="environment that is rolled back")
    parser.add_argument("--job", required=True, help="name of the job of this run that waits for its turn")


def main(options: argparse.Namespace) -> None:
    """Cancel what holds up the job, until it starts, and print what was cancelled."""
    if not waiting.until(lambda: free(options.environment, options.job), PATIENCE, TICK):
        print(f"another run still changes {options.environment}; the rollback starts when it has ended")


def free(environment: str, job: str) -> bool:
    """Return whether the job waits for no other run; if it does, cancel those that wait for an approval."""
    if status(job) not in ("", "pending"):
        return True
    for run in unapproved(environment):
        if cancel(run["id"]):
            line = (
                f"[{run['name']}]({run['html_url']}) was waiting for an approval of `{environment}` and held up this rollback, "
                "so it is cancelled. Run it again if it is still wanted."
            )
            github.summary(line)
            print(line)
    return False


def status(job: str) -> str:
    """Return the status of a job of this run, `pending` while another run is in its group; empty if it is not listed yet."""
    jobs = github.ask("GET", f"/actions/runs/{github.run_id()}/jobs?per_page=100")["jobs"]
    return next((each["status"] for each in jobs if each["name"] == job), "")


def unapproved(environment: str) -> Iterator[dict[str, Any]]:
    """Yield the runs that wait for the reviewers of the environment, except for rollbacks."""
    for run in github.ask("GET", "/actions/runs?status=waiting&per_page=100")["workflow_runs"]:
        if Path(run["path"].partition("@")[0]).name == WORKFLOW:
            continue
        pending = github.ask("GET", f"/actions/runs/{run['id']}/pending_deployments")
        if any(each["environment"]["name"] == environment for each in pending):
            yield run


def cancel(run: int) -> bool:
    """Cancel a run; return False if it has ended by itself."""
    try:
        github.ask("POST", f"/actions/runs/{run}/cancel")
    except GitHubError as error:
        if error.status != 409:
            raise
        return False
    return True
