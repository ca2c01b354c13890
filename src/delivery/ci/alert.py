"""Verb `alert`: keep one issue for a scheduled workflow that is red, with the cause and what to do.

GitHub tells of a red schedule by a mail to whoever changed the schedule last. The issue is decided by the newest runs
themselves, so it is right whenever and however often the verb runs.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from delivery.adapters import github
from delivery.core.errors import Failure
from delivery.pull_requests import issues
from delivery.render.markdown import code

RED = ("failure", "timed_out", "startup_failure")
EVENTS = ("schedule", "workflow_dispatch")
RUNS = 50  # that are looked at: how long a workflow has been red is not told beyond them
CAUSES = 10  # lines of a job that are shown
LONGEST = 500  # characters of each
EXIT = "Process completed with exit code"  # the runner's own line, which every failed step has


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the verb."""
    parser.add_argument("workflow", help="file of the workflow, as in .github/workflows/drift.yml")


def main(options: argparse.Namespace) -> None:
    """Open, update or close the issue of the workflow, and say so."""
    file = Path(options.workflow.partition("@")[0]).name
    name = file.removesuffix(".yml")
    branch = github.ask("GET", "")["default_branch"]
    path = f"/actions/workflows/{quote(file)}/runs?branch={quote(branch, safe='')}&status=completed&per_page={RUNS}"
    red = in_a_row(github.ask("GET", path)["workflow_runs"])
    title = f"The scheduled workflow {name} is red"
    if red and not any(run["event"] == "schedule" for run in red) and not issues.exists(title):
        said = "Somebody has started this run by hand and sees it: no issue."
    elif red and name in issues.TITLES and issues.exists(issues.TITLES[name]):
        said = f"The issue `{issues.TITLES[name]}` tells it. {issues.keep(title, '')}"
    else:
        said = issues.keep(title, page(file, branch, red) if red else "")
    github.summary(said)
    print(said)


def in_a_row(runs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the red runs since the last green one, the newest first. What was cancelled or skipped decides nothing."""
    red = []
    for run in runs:
        if run["event"] not in EVENTS or run["conclusion"] not in (*RED, "success"):
            continue
        if run["conclusion"] == "success":
            break
        red.append(run)
    return red


def page(file: str, branch: str, red: Sequence[dict[str, Any]]) -> str:
    """Return what the issue says: since when, where and why it fails, and what to do."""
    newest, first = red[0], red[-1]
    runs = (
        f"{len(red)} runs in a row have failed, the first on {first['created_at'][:10]}"
        if red[1:]
        else "A run has failed"
    )
    lines = [f"**{runs}.** The newest is [{newest['id']}]({newest['html_url']}) of {newest['created_at'][:10]}.", ""]
    for job in (each for each in jobs(newest["id"]) if each["conclusion"] in RED):
        step = next((step["name"] for step in job.get("steps") or [] if step["conclusion"] in RED), "")
        lines += [f"- job {code(job['name'])}{f', step {code(step)}' if step else ''}"]
        lines += [f"  - {code(cause)}" for cause in causes(job["id"])]
    name = file.removesuffix(".yml")
    docs = f"{github.server()}/{github.repository()}/blob/{branch}/docs/reference/workflows.md#{name}"
    lines += ["", f"[What makes `{name}` red, and what to do]({docs}). When it is fixed, start it again: "
              f"`gh workflow run {file}`. The next green run closes this issue."]  # fmt: skip
    return "\n".join(lines) + "\n"


def jobs(run: int) -> Iterator[dict[str, Any]]:
    """Yield the jobs of a run's last attempt."""
    yield from github.ask("GET", f"/actions/runs/{run}/jobs?per_page=100")["jobs"]


def causes(job: int) -> list[str]:
    """Return the errors that a job has named, on one line each; why they are not known, if GitHub does not tell."""
    try:
        found = github.ask("GET", f"/check-runs/{job}/annotations?per_page=50")
    except Failure as failure:
        return [str(failure)[:LONGEST]]
    said = [" ".join(each["message"].split())[:LONGEST] for each in found if each["annotation_level"] == "failure"]
    named = [line for line in said if not line.startswith(EXIT)]
    return (named or said)[:CAUSES]
