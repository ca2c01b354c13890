"""Whether a run of promote has looked at the newest commit of the branch that delivers."""

from collections.abc import Mapping
from typing import Any

from delivery.core import params
from delivery.fork.settings import Finding, asked
from delivery.pull_requests import skipping

NAME = "newest commit"
WORKFLOW = "promote.yml"
UNDONE = ("cancelled", "timed_out", "startup_failure", "stale")
"""Conclusions of a run that has decided nothing; GitHub's `failure` may be the gate's decision."""


def examine() -> Finding:
    """Compare the newest commit of the default branch with that of the newest run of promote.

    A message with `[skip ci]`, a push by a workflow's own token, a workflow that is off and a run that somebody has
    cancelled leave a commit undelivered, and no check shows that.
    """
    about, why = asked("")
    if about is None:
        return Finding(NAME, "unknown", why)
    branch = about["default_branch"]
    if branch not in params.load().promote.branches:
        return Finding(NAME, "optional", f"`{branch}` is delivered nowhere", "promote.branches in params.yaml")
    newest, why = asked(f"/branches/{branch}")
    runs, unknown = asked(f"/actions/workflows/{WORKFLOW}/runs?branch={branch}&per_page=1")
    if newest is None or runs is None:
        return Finding(NAME, "unknown", why or unknown)
    if not runs["workflow_runs"]:
        return Finding(NAME, "optional", "promote has never run", f"`gh workflow run {WORKFLOW}`")
    run, sha = runs["workflow_runs"][0], newest["commit"]["sha"]
    if undone := left(newest["commit"], branch, run):
        return Finding(NAME, "missing", undone, f"`gh workflow run {WORKFLOW} --ref {branch}`")
    return Finding(NAME, "ready", f"promote has run for {sha[:8]} of `{branch}`: {run['conclusion'] or run['status']}")


def left(commit: Mapping[str, Any], branch: str, run: Mapping[str, Any]) -> str:
    """Return why the commit is undelivered by the newest run of promote; empty if that run has decided."""
    short = commit["sha"][:8]
    if run["head_sha"] != commit["sha"]:
        said = skipping.mark(commit["commit"]["message"])
        reason = f": its message says `{said}`" if said else f"; its newest run is of {run['head_sha'][:8]}"
        return f"promote has not run for {short} of `{branch}`{reason}"
    if run["conclusion"] in UNDONE:
        return f"promote of {short} ended as `{run['conclusion']}`: {run['html_url']}"
    return ""
