"""GitHub Deployments: what GitHub shows of what runs where. Outside a workflow nothing is recorded."""

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import quote

from delivery.adapters import github
from delivery.core.errors import Failure

OWN = re.compile(r"^(?:(?:rollback to )?version (\d+)|commit [0-9a-f]{8})$")
"""Description of a Deployment by `deploy`, `rollback` or `promote`; others are by people, or by GitHub for a job's environment."""

LOOKED = 3  # Deployments that are looked at for one without an end; each costs a request


@contextmanager
def deployment(environment: str, ref: str, description: str, url: str = "") -> Iterator[None]:
    """Record a GitHub Deployment and its outcome. Do nothing outside a workflow.

    An outcome that GitHub does not take changes nothing: what serves then serves, and why a deployment failed is told.
    """
    if not github.inside():
        yield
        return
    with suppress(Failure):  # of another run: this one goes on without
        _end_unfinished(environment)
    request = {
        "ref": ref,
        "environment": environment,
        "description": description,
        "auto_merge": False,
        "required_contexts": [],
        "payload": {"actor": github.actor()},
    }
    path = f"/deployments/{github.ask('POST', '/deployments', request)['id']}/statuses"
    status = {"state": "in_progress", "log_url": github.run_url()}
    github.ask("POST", path, status)
    try:
        yield
    except BaseException:
        _record(path, status | {"state": "failure"})
        raise
    _record(path, status | {"state": "success"} | ({"environment_url": url} if url else {}))


def correct(environment: str, ref: str, version: str, url: str = "") -> None:
    """Record a Deployment of the version that serves already, unless the newest one succeeded and names it.

    One whose run was killed, or whose outcome GitHub did not take, says something else.
    """
    if not github.inside():
        return
    try:
        made = next(iter(_newest(environment)), None)
        named = OWN.match(made["description"] or "") if made else None
        if made and named and named[1] == version and _state(made) == "success":
            return
        with deployment(environment, ref, f"version {version}", url):
            pass
    except Failure as failure:
        print(f"The Deployment of version {version} is not recorded: {failure}")


def _end_unfinished(environment: str) -> None:
    """Give the newest Deployments an end whose runs ended without one. Whoever deploys holds the environment, so none is at work.

    Not only the very newest: GitHub may have refused this to the run that made it.
    """
    for made in _newest(environment, LOOKED):
        if OWN.match(made["description"] or "") and _state(made) in ("", "in_progress"):
            github.ask(
                "POST",
                f"/deployments/{made['id']}/statuses",
                {"state": "error", "description": "its run ended before it was final"},
            )


def _newest(environment: str, count: int = 1) -> list[Any]:
    """Return the newest Deployments to an environment, the newest first."""
    found: list[Any] = github.ask("GET", f"/deployments?environment={quote(environment, safe='')}&per_page={count}")
    return found


def _state(made: Any) -> str:
    """Return the newest state of a Deployment; empty if it has none."""
    statuses = github.ask("GET", f"/deployments/{made['id']}/statuses?per_page=1")
    return statuses[0]["state"] if statuses else ""


def _record(path: str, status: github.Body) -> None:
    """Set the outcome of a Deployment, or print why GitHub does not take it."""
    try:
        github.ask("POST", path, status)
    except Failure as failure:
        print(f"The Deployment is not recorded as a {status['state']}: {failure}")
