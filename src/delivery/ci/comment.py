"""Verb `comment`: one comment on a pull request, from data that nobody has reviewed.

Runs with rights that the pull request's own code must never have. It takes review.json as data of one strict form,
checks that the claimed number and commit are the run's own, encodes the images anew, and renders the page itself.
"""

import argparse
from pathlib import Path
from typing import Any

from delivery.adapters import github
from delivery.ci.advice import stale_advice
from delivery.core import files, workspace
from delivery.pull_requests import comments, images
from delivery.render import review
from delivery.render.markdown import escaped
from delivery.render.page import review_page, shortened

TITLE = "report"  # the comment's own watermark: another workflow's comments are not touched
MOST = 20  # reports of one run that become comments
LIMIT = 60_000  # of GitHub's 65,536 characters; the rest is for our own lines and CML's watermark


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the verb."""
    parser.add_argument(
        "action", choices=("post", "start"), help="post the comment, or start the workflow `comment` for this run"
    )
    parser.add_argument("folder", type=Path, nargs="?", default=workspace.REVIEW, help="artifact of the report")
    parser.add_argument("--run", type=int, required=True, metavar="ID", help="workflow run that made the report")


def main(options: argparse.Namespace) -> None:
    """Post a comment for each report of the run, or start the workflow that does."""
    if options.action == "start":
        branch = github.ask("GET", "")["default_branch"]
        body = {"ref": branch, "inputs": {"run": str(options.run)}}
        github.ask("POST", "/actions/workflows/comment.yml/dispatches", body)
        return
    run = github.ask("GET", f"/actions/runs/{options.run}")
    # The artifact of one model is the folder itself, those of several models are folders in it.
    folders = sorted(path.parent for path in options.folder.glob("*/review.json")) or [options.folder]
    budget = images.Budget()
    for folder in folders[:MOST]:
        github.summary(post_report(folder, run, budget))
    if folders[MOST:]:
        github.summary(f"{len(folders) - MOST} more reports are among the artifacts of {run['html_url']} only.")


def post_report(folder: Path, run: dict[str, Any], budget: images.Budget) -> str:
    """Post the report in the folder, and return a sentence for the summary. Raise Failure if it is refused."""
    document = review.read(folder / "review.json")
    number = comments.proven_number(document.number, document.sha, run)
    if number is None:
        return "Nothing posted: the report is of an older commit, or of no pull request."
    names = document.report.plots if document.report else ()
    kept, left_out = images.reencoded(folder / "plots", names, budget)
    addresses = images.publish(kept, run["head_sha"] + document.suffix)
    page = review_page(document, addresses, stale_advice(pushed=document.pushed))
    more = f"The whole page is in the artifact `review{document.suffix}` of {run['html_url']}."
    notes = "".join(f"\nThe image {name} is left out: {reason}." for name, reason in left_out.items())
    model = f" of {escaped(document.suffix[1:])}" if document.suffix else ""
    head = f"Report{model} on {run['head_sha'][:8]}, [run {run['id']}]({run['html_url']})"
    files.write(workspace.COMMENT, f"{head}\n\n{shortened(page, LIMIT, more)}{notes}\n")
    how = comments.post(number, run["head_sha"], TITLE + document.suffix)
    return f"Report{model} posted to #{number} {how}."
