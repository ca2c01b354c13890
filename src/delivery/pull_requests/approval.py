"""The approval of a commit: its pull request, who approved it and who merged it, as GitHub records them."""

from delivery.adapters import github
from delivery.core.errors import Failure

DECIDED = ("APPROVED", "CHANGES_REQUESTED", "DISMISSED")  # a later comment takes no approval back


def of(commit: str) -> dict[str, str]:
    """Return the tags of a version; none outside a workflow or for a commit pushed without a pull request.

    If GitHub refuses an answer, the tag says so: a gap in the record stops no delivery.
    """
    if not github.inside():
        return {}
    try:
        merged = [pull for pull in github.ask("GET", f"/commits/{commit}/pulls") if pull["merged_at"]]
        if not merged:
            return {}
        number = merged[0]["number"]
        reviews = github.pages(f"/pulls/{number}/reviews")
        by = github.ask("GET", f"/pulls/{number}")["merged_by"]
    except Failure as failure:
        return {"approved.by": f"unknown: {failure}"}
    last = {login(entry["user"]): entry["state"] for entry in reviews if entry["state"] in DECIDED}
    approved = sorted(name for name, state in last.items() if state == "APPROVED")
    return {"pull.request": str(number), "approved.by": ", ".join(approved) or "nobody", "merged.by": login(by)}


def login(user: dict | None) -> str:
    """Return the name of an account."""
    return user["login"] if user else "ghost"  # as GitHub shows an account that is gone
