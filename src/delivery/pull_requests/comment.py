"""Verb `comment`: one comment on a pull request, from a page that nobody has reviewed.

Runs with rights that the pull request's own code must never have, so it takes that page as text: the
claimed number and commit must be the run's, pictures must be small PNGs, the rest is `page.safe`.
"""

import argparse
import json
import re
from pathlib import Path
from typing import Any

from delivery.adapters import cml, github
from delivery.core import files, workspace
from delivery.core.errors import Failure
from delivery.pull_requests import images, page

TITLE = "report"  # the comment's own watermark: another workflow's comments are not touched
# What CML writes and looks for, so that its comment is found again whoever posted it.
WATERMARK = r'!\[\]\(https://cml\.dev/watermark\.png#[0-9a-fA-F]+ "CML watermark {}"\)'
SUFFIX = r"(-[\w.-]{1,100})?"  # of one model among several in a repository; nothing tells more of a stranger's word
MOST = 20  # reports of one run that become comments
FIRST_PAGE = 30  # CML looks no further


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("post", "start"), help="start: the workflow `comment`, for this run")
    parser.add_argument(
        "folder", type=Path, nargs="?", default=workspace.REPORTS / "review", help="the report's artifact"
    )
    parser.add_argument("--run", type=int, required=True, metavar="ID", help="of the report that made it")


def main(options: argparse.Namespace) -> None:
    if options.action == "start":
        branch = github.ask("GET", "")["default_branch"]
        body = {"ref": branch, "inputs": {"run": str(options.run)}}
        github.ask("POST", "/actions/workflows/comment.yml/dispatches", body)
        return
    run = github.ask("GET", f"/actions/runs/{options.run}")
    # One artifact lies in the folder itself, those of several models each in one of its own.
    folders = sorted(path.parent for path in options.folder.glob("*/review.json")) or [options.folder]
    for folder in folders[:MOST]:
        github.summary(one(folder, run))
    if folders[MOST:]:
        github.summary(f"{len(folders) - MOST} more reports are among the artifacts of {run['html_url']} only.")


def one(folder: Path, run: dict[str, Any]) -> str:
    """Posts the report in the folder; what came of it."""
    claim = read_claim(folder / "review.json")
    number, suffix = proven(claim, run), claim.get("suffix", "")
    if number is None:
        return "Nothing posted: the report is of an older commit, or of no pull request."
    addresses = images.publish(sorted((folder / "plots").glob("*.png")), run["head_sha"] + suffix)
    whole = f"The whole page is in the artifact `review{suffix}` of {run['html_url']}."
    text = page.safe(read(folder / "page.md"), addresses, whole)
    what = f" of {suffix[1:]}" if suffix else ""
    head = f"Report{what} on {run['head_sha'][:8]}, [run {run['id']}]({run['html_url']})"
    files.write(workspace.COMMENT, f"{head}\n\n{text}\n")
    how = post(number, run["head_sha"], TITLE + suffix)
    return f"Report{what} posted to #{number} {how}."


def read_claim(path: Path) -> dict[str, Any]:
    """The artifact's word for its pull request and commit. Raises Failure when it is not of that form."""
    try:
        claim = json.loads(path.read_bytes()[:10_000])
        known = re.fullmatch(r"[0-9a-f]{40}", claim["sha"]) and re.fullmatch(SUFFIX, claim.get("suffix", ""), re.ASCII)
        if type(claim["number"]) is int and known:
            return claim
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise Failure("the artifact does not say which pull request and commit it is of; nothing is posted")


def proven(claim: dict[str, Any], run: dict[str, Any]) -> int | None:
    """The pull request's number if it is the run's own; None where there is none or it has moved on.

    Raises Failure when the artifact claims what GitHub does not know to be so.
    """
    if run["path"].partition("@")[0] != ".github/workflows/report.yml":
        raise Failure(f"run {run['id']} is not one of the report; nothing is posted")
    number, sha = claim["number"], run["head_sha"]
    if claim["sha"] != sha:
        raise Failure(f"the artifact says it is of {claim['sha'][:8]}, the run is of {sha[:8]}; nothing is posted")
    if number == 0:
        return None
    pull = github.ask("GET", f"/pulls/{number}")
    source = (pull["head"]["repo"] or {}).get("full_name")
    if source != run["head_repository"]["full_name"] or pull["head"]["ref"] != run["head_branch"]:
        raise Failure(f"pull request #{number} is not the one that run {run['id']} is of; nothing is posted")
    if pull["state"] != "open" or pull["head"]["sha"] != sha:
        return None
    return number


def read(path: Path) -> str:
    """The beginning of the page; never more than could be shown, whatever its size."""
    if path.is_symlink() or not path.is_file():
        raise Failure("the artifact has no page; nothing is posted")
    with path.open("rb") as file:
        return file.read(4 * page.LIMIT).decode("utf-8", "replace")


def post(number: int, sha: str, title: str) -> str:
    """CML posts or updates; where it cannot, the API does the same. Returns how, for the summary."""
    earlier = github.pages(f"/issues/{number}/comments")
    mark = re.compile(WATERMARK.format(re.escape(title)))
    known = next((entry for entry in reversed(earlier) if mark.search(entry["body"])), None)
    if known in earlier[FIRST_PAGE:]:
        why = f"CML sees {FIRST_PAGE} comments, there are more"
    elif why := by_cml(number, title):
        why = f"CML: {why}"
    else:
        return "by CML"
    body = {
        "body": f'{workspace.COMMENT.read_text()}\n\n![](https://cml.dev/watermark.png#{sha} "CML watermark {title}")'
    }
    if known:
        github.ask("PATCH", f"/issues/comments/{known['id']}", body)
    else:
        github.ask("POST", f"/issues/{number}/comments", body)
    return f"without CML ({why})"


def by_cml(number: int, title: str) -> str:
    """CML's reason for failing, or nothing. It never publishes files: its default host is open to everybody."""
    options = ["--update", "--publish=false", f"--target=pr/{number}", f"--watermark-title={title}"]
    return cml.run("comment", "create", *options, str(workspace.COMMENT))
