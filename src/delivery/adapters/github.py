"""GitHub: outputs, summaries and its API. The only module that knows it; elsewhere nothing of it is needed."""

import base64
import json
import os
import random
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from delivery.core import programs
from delivery.core.errors import Failure, GitHubError

TRIES = 5
OWN_TOKEN = "ask with your own: `GITHUB_TOKEN=$(gh auth token)`"  # noqa: S105  advice, no secret
PATIENCE = 60  # seconds; GitHub may ask for an hour, which no job should wait


def inside() -> bool:
    """Whether this is a workflow run."""
    return os.environ.get("GITHUB_ACTIONS") == "true"


def armed() -> bool:
    """Whether there is a token to ask with."""
    return bool(os.environ.get("GITHUB_TOKEN"))


def server() -> str:
    return os.environ.get("GITHUB_SERVER_URL", "https://github.com")


def repository() -> str:
    """owner/name. Raises Failure outside a workflow where GITHUB_REPOSITORY does not say it."""
    if name := os.environ.get("GITHUB_REPOSITORY"):
        return name
    raise Failure("which repository? set GITHUB_REPOSITORY=owner/name and GITHUB_TOKEN")


def run_url() -> str:
    return f"{server()}/{repository()}/actions/runs/{os.environ.get('GITHUB_RUN_ID', '0')}"


def actor() -> str:
    """Who started this workflow run; nobody outside one."""
    return os.environ.get("GITHUB_ACTOR", "")


def executor() -> str:
    """This workflow run and who started it; nothing outside one."""
    if run := os.environ.get("GITHUB_RUN_ID"):
        return f"{actor() or '?'} in workflow run {os.environ.get('GITHUB_REPOSITORY', '?')}/actions/runs/{run}"
    return ""


def branch() -> str:
    """The branch that this workflow run is of; none outside one."""
    return os.environ.get("GITHUB_REF_NAME", "")


def summary(markdown: str) -> None:
    """What people see on the page of the run; nothing outside a workflow."""
    _append("GITHUB_STEP_SUMMARY", markdown.rstrip() + "\n\n")


def output(**values: str) -> None:
    """Values for later steps and jobs, safe against lines that would forge another one."""
    for name, value in values.items():
        mark = uuid.uuid4().hex
        _append("GITHUB_OUTPUT", f"{name}<<{mark}\n{value}\n{mark}\n")


def _append(variable: str, text: str) -> None:
    if path := os.environ.get(variable):
        with open(path, "a", encoding="utf-8") as file:
            file.write(text)


def authenticate() -> None:
    """Lets git use the job's token for this process and its children; nothing is written to disk."""
    token = os.environ.get("GITHUB_TOKEN")
    if not (inside() and token):
        return
    basic = base64.b64encode(f"x-access-token:{token}".encode()).decode()
    os.environ |= {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"http.{server()}/.extraheader",
        "GIT_CONFIG_VALUE_0": f"AUTHORIZATION: basic {basic}",
    }


def ask(method: str, path: str, body: dict | None = None) -> Any:
    """One call of the API, repeated with back-off where that may help; path is below /repos/owner/name.

    Raises GitHubError with GitHub's own message when it refuses, Failure when it does not answer.
    """
    reply, _ = _ask(method, f"/repos/{repository()}{path}", body)
    return reply


def pages(path: str) -> list[Any]:
    """All entries of a list, page by page."""
    found: list[Any] = []
    for page in range(1, 100):
        entries, more = _ask("GET", f"/repos/{repository()}{path}?per_page=100&page={page}", None)
        found += entries
        if not more:
            break
    return found


def refuse_unattested(image: str) -> None:
    """Raises Failure for an image that no workflow of this repository has signed for.

    Nothing outside a workflow, nor for a version without an image.
    """
    if not (inside() and image):
        return
    signer = ["--signer-repo", name] if (name := os.environ.get("SIGNER")) else []
    command = ["gh", "attestation", "verify", f"oci://{image}", "--repo", repository(), *signer]
    completed = programs.run(command, env={"GH_TOKEN": os.environ.get("GITHUB_TOKEN", "")})
    if completed.returncode:
        raise Failure(f"{image} has no valid attestation of {repository()}: {programs.last_line(completed)}")


@contextmanager
def deployment(environment: str, ref: str, description: str, url: str = "") -> Iterator[None]:
    """A GitHub Deployment with its outcome: the record of what runs where. Nothing outside a workflow."""
    if not inside():
        yield
        return
    request = {
        "ref": ref,
        "environment": environment,
        "description": description,
        "auto_merge": False,
        "required_contexts": [],
        "payload": {"actor": actor()},
    }
    path = f"/deployments/{ask('POST', '/deployments', request)['id']}/statuses"
    status = {"state": "in_progress", "log_url": run_url()}
    ask("POST", path, status)
    try:
        yield
    except BaseException:
        ask("POST", path, status | {"state": "failure"})
        raise
    ask("POST", path, status | {"state": "success"} | ({"environment_url": url} if url else {}))


def _ask(method: str, path: str, body: dict | None) -> tuple[Any, bool]:
    """The reply, and whether a next page is announced."""
    base = os.environ.get("GITHUB_API_URL", "https://api.github.com")
    headers = {
        "Authorization": f"Bearer {os.environ.get('GITHUB_TOKEN', '')}",
        "Accept": "application/vnd.github+json",
        "Content-Type": "application/json",
        "User-Agent": "delivery",
    }
    data = None if body is None else json.dumps(body).encode()
    for attempt in range(TRIES):
        request = urllib.request.Request(base + path, data, headers, method=method)  # noqa: S310  GitHub's address
        try:
            with urllib.request.urlopen(request, timeout=30) as reply:  # noqa: S310
                content = reply.read()
                more = 'rel="next"' in reply.headers.get("Link", "")
                return (json.loads(content) if content else None), more
        except urllib.error.HTTPError as error:
            wait = _wait(error, attempt)
            if wait is None or attempt == TRIES - 1:
                reason = _message(error)
                text = f"GitHub refused {method} {path}: {error.code} {reason}"
                raise GitHubError(text, status=error.code, reason=reason) from None
        except OSError as error:
            wait = _pause(attempt)
            if attempt == TRIES - 1:
                raise Failure(f"GitHub does not answer at {base}: {error}") from None
        time.sleep(wait)
    raise AssertionError


def _wait(error: urllib.error.HTTPError, attempt: int) -> float | None:
    """Seconds until another try makes sense; None where it does not."""
    if error.code >= 500:
        return _pause(attempt)
    if error.code == 429 or (error.code == 403 and _limited(error)):
        asked = error.headers.get("Retry-After")
        reset = error.headers.get("X-RateLimit-Reset")
        seconds = float(asked) if asked else float(reset) - time.time() if reset else _pause(attempt)
        return max(seconds, 0) if seconds <= PATIENCE else None
    return None


def _limited(error: urllib.error.HTTPError) -> bool:
    return "Retry-After" in error.headers or error.headers.get("X-RateLimit-Remaining") == "0"


def _pause(attempt: int) -> float:
    """Half a second, twice as long each time, never in step with others."""
    return 0.5 * 2**attempt * random.uniform(0.5, 1)  # noqa: S311  no secret


def _message(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.loads(error.read()).get("message", ""))
    except ValueError:
        return str(error.reason)
