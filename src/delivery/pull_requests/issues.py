"""Issues: one open issue for each title, which later runs rewrite or close."""

from typing import Any

from delivery.adapters import github

# Of the workflows that keep one about what they have found.
TITLES = {
    "doctor": "The set-up misses something",
    "drill": "A rollback would fail",
    "scan": "Vulnerabilities with a fix",
}
LIMIT = 60_000  # characters that are kept; GitHub takes 65,536


def exists(title: str) -> bool:
    """Return whether a workflow has opened an issue with this title that is still open."""
    return _ours(title) is not None


def keep(title: str, text: str) -> str:
    """Let the one open issue with this title say `text`, or close it if `text` is empty; return a sentence for people.

    Only an issue that a workflow has opened counts: a stranger's may have the same title.
    Raise `Failure` if GitHub refuses: issues may be disabled in the repository.
    """
    text = _cut(text)
    known = _ours(title)
    if known is None:
        return _opened(title, text) if text else "There is no issue to close."
    address, path = known["html_url"], f"/issues/{known['number']}"
    if not text:
        github.ask("PATCH", path, {"state": "closed", "state_reason": "completed"})
        return f"{address} was closed."
    if known["body"] == text:
        return f"{address} says so already."
    github.ask("PATCH", path, {"body": text})
    return f"{address} was updated."


def _ours(title: str) -> dict[str, Any] | None:
    same = (issue for issue in github.pages("/issues") if issue["title"] == title)
    ours = (issue for issue in same if (issue["user"] or {}).get("type") == "Bot")  # nobody's, if the account is gone
    return next((issue for issue in ours if "pull_request" not in issue), None)


def _opened(title: str, text: str) -> str:
    return f"{github.ask('POST', '/issues', {'title': title, 'body': _cut(text)})['html_url']} was opened."


def _cut(text: str) -> str:
    """Return the text, or as many of its lines as GitHub takes, and a note that the run has the rest."""
    if len(text) <= LIMIT:
        return text
    return f"{text[:LIMIT].rpartition(chr(10))[0]}\n\nThe summary of the workflow run has the rest.\n"
