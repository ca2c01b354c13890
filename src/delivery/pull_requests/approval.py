"""Find the approval of a commit: its pull request, who approved it and who merged it, as GitHub records them."""

from collections.abc import Mapping

from msgspec import Struct

from delivery.adapters import github
from delivery.core.errors import Failure

DECIDED = ("APPROVED", "CHANGES_REQUESTED", "DISMISSED")  # a later comment does not withdraw an approval


class Approval(Struct, frozen=True):
    """The people and the pull request that let a commit through; what is not on record is empty."""

    pull: str = ""  # its number
    approved_by: str = ""
    merged_by: str = ""


def of(commit: str) -> Approval:
    """Return the approval; empty outside a workflow and for a commit pushed without a pull request.

    If GitHub refuses an answer, `approved_by` says so: a gap in the record stops no delivery.
    """
    if not github.inside():
        return Approval()
    try:
        merged = [pull for pull in github.ask("GET", f"/commits/{commit}/pulls") if pull["merged_at"]]
        if not merged:
            return Approval()
        number = merged[0]["number"]
        reviews = github.pages(f"/pulls/{number}/reviews")
        by = github.ask("GET", f"/pulls/{number}")["merged_by"]
    except Failure as failure:
        return Approval(approved_by=f"unknown: {failure}")
    last = {login(entry["user"]): entry["state"] for entry in reviews if entry["state"] in DECIDED}
    approved = sorted(name for name, state in last.items() if state == "APPROVED")
    return Approval(str(number), ", ".join(approved) or "nobody", login(by))


def login(user: Mapping[str, str] | None) -> str:
    """Return the name of an account."""
    return user["login"] if user else "ghost"  # GitHub's name for a deleted account
