"""GitHub: outputs, summaries and its API. No other module knows its variables or addresses."""

import base64
import io
import json
import os
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from delivery.core import programs, retries
from delivery.core.errors import Failure, GitHubError

TRIES = 5
PAUSE = 0.5  # seconds, at most, before the first retry
OWN_TOKEN = "ask with your own: `GITHUB_TOKEN=$(gh auth token)`"  # noqa: S105  advice, no secret
PATIENCE = 60  # seconds; GitHub may ask for an hour, which no job should wait
SECONDARY = "secondary rate limit"  # in GitHub's message, at times without a header that says how long
SECONDARY_WAIT = 60  # seconds: "at least one minute" (docs.github.com, best practices for using the REST API)

Body = Mapping[str, Any]  # of a request, as JSON


def inside() -> bool:
    """Return whether this process belongs to a workflow run."""
    return os.environ.get("GITHUB_ACTIONS") == "true"


def armed() -> bool:
    """Return whether there is a token for requests."""
    return bool(os.environ.get("GITHUB_TOKEN"))


def by_hand() -> bool:
    """Return whether a person has started this workflow run."""
    return os.environ.get("GITHUB_EVENT_NAME") == "workflow_dispatch"


def event() -> Any:
    """Return the event that started this workflow run, as GitHub describes it; empty outside one."""
    path = os.environ.get("GITHUB_EVENT_PATH", "")
    return json.loads(Path(path).read_text(encoding="utf-8")) if path else {}


def private() -> bool:
    """Return whether this workflow run's repository is private or internal; False outside one."""
    return bool(event().get("repository", {}).get("private"))


def server() -> str:
    """Return the address of GitHub, or of the company's own GitHub Enterprise Server."""
    return os.environ.get("GITHUB_SERVER_URL", "https://github.com")


def repository() -> str:
    """Return owner/name. Raise `Failure` if GITHUB_REPOSITORY is not set, as outside a workflow."""
    if name := os.environ.get("GITHUB_REPOSITORY"):
        return name
    raise Failure("no repository is named; set GITHUB_REPOSITORY=owner/name and GITHUB_TOKEN")


def run_url() -> str:
    """Return the address of this workflow run's page."""
    return f"{server()}/{repository()}/actions/runs/{run_id()}"


def run_id() -> int:
    """Return the number of this workflow run; 0 outside one."""
    return int(os.environ.get("GITHUB_RUN_ID", "0"))


def actor() -> str:
    """Return who started this workflow run; empty outside one."""
    return os.environ.get("GITHUB_ACTOR", "")


def executor() -> str:
    """Return this workflow run and who started it; empty outside one."""
    if run := os.environ.get("GITHUB_RUN_ID"):
        return f"{actor() or '?'} in workflow run {os.environ.get('GITHUB_REPOSITORY', '?')}/actions/runs/{run}"
    return ""


def branch() -> str:
    """Return the branch or tag that this workflow run is for; empty outside one."""
    return os.environ.get("GITHUB_REF_NAME", "")


def summary(markdown: str) -> None:
    """Append to the summary on the page of the workflow run. Do nothing outside a workflow."""
    _append("GITHUB_STEP_SUMMARY", markdown.rstrip() + "\n\n")


def annotate(title: str, line: str) -> None:
    """Name an error on the page of the workflow run, also for the API (`delivery alert`). Do nothing outside a workflow.

    The text is one command of the runner, whatever is in it
    (docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands).
    """
    if inside():
        escaped = line.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
        print(f"::error title={title}::{escaped}", file=sys.stderr)


def output(**values: str) -> None:
    """Set outputs for later steps and jobs. A value with line breaks cannot forge another output."""
    for name, value in values.items():
        delimiter = uuid.uuid4().hex
        _append("GITHUB_OUTPUT", f"{name}<<{delimiter}\n{value}\n{delimiter}\n")


def _append(variable: str, text: str) -> None:
    if path := os.environ.get(variable):
        with open(path, "a", encoding="utf-8") as file:
            file.write(text)


def authenticate() -> None:
    """Let git use the job's token in this process and its children. Write nothing to disk."""
    token = os.environ.get("GITHUB_TOKEN")
    if not (inside() and token):
        return
    basic = base64.b64encode(f"x-access-token:{token}".encode()).decode()
    os.environ |= {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"http.{server()}/.extraheader",
        "GIT_CONFIG_VALUE_0": f"AUTHORIZATION: basic {basic}",
    }


def ask(method: str, path: str, body: Body | None = None) -> Any:
    """Send a request to the API, below /repos/owner/name, and return the reply. Retry it if that may help.

    Raise `GitHubError` with GitHub's own message if it refuses, `Failure` if it does not answer.
    """
    reply, _ = _ask(method, f"/repos/{repository()}{path}", body)
    return reply


def pages(path: str) -> list[Any]:
    """Return all entries of a list, page by page."""
    collected: list[Any] = []
    for page in range(1, 100):
        entries, more = _ask("GET", f"/repos/{repository()}{path}?per_page=100&page={page}", None)
        collected += entries
        if not more:
            break
    return collected


def refuse_unattested(image: str) -> None:
    """Raise `Failure` if no workflow of this repository has attested the image.

    Do nothing outside a workflow, or for a version without an image.
    """
    if not (inside() and image):
        return
    signer = ["--signer-repo", name] if (name := os.environ.get("SIGNER")) else []
    command = ["gh", "attestation", "verify", f"oci://{image}", "--repo", repository(), *signer]
    completed = programs.run(command, env={"GH_TOKEN": os.environ.get("GITHUB_TOKEN", "")})
    if completed.returncode:
        raise Failure(f"{image} has no valid attestation of {repository()}: {programs.last_line(completed)}")


def _ask(method: str, path: str, body: Body | None) -> tuple[Any, bool]:
    """Return the reply, and whether a next page is announced."""
    base = os.environ.get("GITHUB_API_URL", "https://api.github.com")
    headers = {
        "Authorization": f"Bearer {os.environ.get('GITHUB_TOKEN', '')}",
        "Accept": "application/vnd.github+json",
        "Content-Type": "application/json",
        "User-Agent": "delivery",
    }
    data = None if body is None else json.dumps(body).encode()

    def send() -> tuple[Any, bool]:
        request = urllib.request.Request(base + path, data, headers, method=method)  # noqa: S310  GitHub's address
        try:
            with urllib.request.urlopen(request, timeout=30) as reply:  # noqa: S310
                content = reply.read()
                more = 'rel="next"' in reply.headers.get("Link", "")
                return (json.loads(content) if content else None), more
        except urllib.error.HTTPError as error:
            with error:  # which holds the connection
                answer = io.BytesIO(error.read())
            raise urllib.error.HTTPError(error.url, error.code, error.reason, error.headers, answer) from None

    try:
        return retries.call(
            send, attempts=TRIES, worth=_worth_retrying, base=PAUSE / 2, jitter=PAUSE / 2, asked=_requested_wait
        )
    except urllib.error.HTTPError as error:
        reason = _message(error)
        text = f"GitHub refused {method} {path}: {error.code} {reason}"
        raise GitHubError(text, status=error.code, reason=reason) from None
    except OSError as error:
        raise Failure(f"GitHub does not answer at {base}: {error}") from None


def _worth_retrying(error: BaseException) -> bool:
    """Return whether the next attempt may succeed: no answer, a server error, or a rate limit that soon ends."""
    if not isinstance(error, urllib.error.HTTPError):
        return isinstance(error, OSError)
    return error.code >= 500 or (_rate_limited(error) and (_requested_wait(error) or 0) <= PATIENCE)


def _rate_limited(error: urllib.error.HTTPError) -> bool:
    """Return whether the request was refused for its rate. GitHub answers 403 for that too, besides missing rights."""
    headers = error.headers
    exhausted = "Retry-After" in headers or headers.get("X-RateLimit-Remaining") == "0"
    return error.code == 429 or (error.code == 403 and (exhausted or SECONDARY in _message(error)))


def _requested_wait(error: BaseException) -> float | None:
    """Return how many seconds GitHub asks to wait, or None if it does not say."""
    if not isinstance(error, urllib.error.HTTPError) or not _rate_limited(error):
        return None
    if seconds := error.headers.get("Retry-After"):
        return max(float(seconds), 0)
    if reset := error.headers.get("X-RateLimit-Reset"):
        return max(float(reset) - time.time(), 0)
    return SECONDARY_WAIT if SECONDARY in _message(error) else None


def _message(error: urllib.error.HTTPError) -> str:
    """Return what GitHub says of a refusal, whose body is a buffer."""
    error.seek(0)
    try:
        return str(json.loads(error.read()).get("message", ""))
    except ValueError:
        return str(error.reason)
