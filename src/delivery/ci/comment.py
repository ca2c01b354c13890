"""Verb `comment`: post one comment on a pull request, from data that nobody has reviewed.

It has permissions that the pull request's own code must never have. So it takes review.json as data of one strict form,
checks that the claimed number and commit are the run's own, encodes the images again, and renders the page itself.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from delivery.adapters import github
from delivery.ci import judging, models, undelivered
from delivery.ci.advice import stale_advice
from delivery.core import files, ownership, workspace
from delivery.core.errors import Failure, GitHubError
from delivery.pull_requests import acceptance, comments, images
from delivery.render import review
from delivery.render.markdown import code, escaped
from delivery.render.page import review_page, shortened
from delivery.render.review import Review

TITLE = "report"  # the comment's own watermark: another workflow's comments are not touched
MOST = 100  # reports that are read; a run has one for each model that changed
NEW = 1  # comments for models that the default branch does not have yet
LIMIT = 60_000  # characters of a comment; GitHub takes 65,536, and its first line and CML's watermark are added


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the verb."""
    parser.add_argument(
        "action", choices=("post", "start"), help="post the comment, or start the workflow `comment` for this run"
    )
    parser.add_argument("folder", type=Path, nargs="?", default=workspace.REVIEW, help="artifact of the report")
    parser.add_argument("--run", type=int, required=True, metavar="ID", help="workflow run that made the report")
    parser.add_argument("--branch", default="", help="branch of the pull request, whose comments wait for each other")


def main(options: argparse.Namespace) -> None:
    """Post a comment for each report of the run, or start the workflow that does."""
    if options.action == "start":
        start(options.run, options.branch)
        return
    if not options.folder.is_dir() or not any(options.folder.iterdir()):
        github.summary(f"Nothing posted: run {options.run} ended before it wrote a report, and its page says why.")
        return
    run = comments.workflow_run(options.run)
    folders = reports(options.folder)
    chosen = admitted(folders)
    budget = images.Budget()
    for folder in chosen:
        github.summary(post_report(folder, run, budget))
    if left := len(folders) - len(chosen):
        github.summary(
            f"{left} more reports, of models that this repository does not have, are among the artifacts only."
        )


def reports(folder: Path) -> list[Path]:
    """Return the folders with a report: of a single artifact the folder itself, as download-artifact does it."""
    return (
        [folder] if (folder / "review.json").exists() else sorted(path.parent for path in folder.glob("*/review.json"))
    )


def admitted(folders: Sequence[Path]) -> list[Path]:
    """Return the folders whose reports are posted: one for each model of the default branch, and NEW others.

    Anybody who opens a pull request chooses how many artifacts and folders there are, and what the reports in them claim.
    Raise `Failure` if there is no report, or one is refused.
    """
    if not folders:
        raise Failure("the artifact has no review.json; nothing is posted")
    by_model: dict[str, Path] = {}
    for folder in folders[:MOST]:
        by_model.setdefault(review.read(folder / "review.json").suffix, folder)
    known = {models.suffix(name) for name in models.listed()}
    new = [suffix for suffix in by_model if suffix not in known][NEW:]
    return [folder for suffix, folder in by_model.items() if suffix not in new]


def start(run: int, branch: str) -> None:
    """Dispatch the workflow `comment` of the default branch for a run of ci."""
    body = {"ref": github.ask("GET", "")["default_branch"], "inputs": {"run": str(run), "branch": branch}}
    try:
        github.ask("POST", "/actions/workflows/comment.yml/dispatches", body)
    except GitHubError as error:
        if error.status != 422:
            raise
        # A repository that calls shared workflows may have an older comment.yml, without the input `branch`.
        body = body | {"inputs": {"run": str(run)}}
        github.ask("POST", "/actions/workflows/comment.yml/dispatches", body)


def post_report(folder: Path, run: comments.WorkflowRun, budget: images.Budget) -> str:
    """Post the report in the folder, and return a sentence for the summary. Raise Failure if it is refused."""
    document = review.read(folder / "review.json")
    number = comments.proven_number(document.number, document.sha, run)
    if number is None:
        return "Nothing posted: the report is of an older commit, of no pull request, or of a fork that was deleted."
    names = document.report.plots if document.report else ()
    kept, left_out = images.reencoded(folder / "plots", names, budget)
    addresses = images.publish(kept, run.commit + document.suffix)
    page = review_page(document, addresses, stale_advice(pushed=document.pushed, refuted=bool(document.refuted)))
    more = f"The whole page is in the artifact `review{document.suffix}` of {run.address}."
    notes = "".join(f"\nThe image {name} is left out: {reason}." for name, reason in left_out.items())
    notes += label_note(document, number) + base_note(document, number)
    model = f" of {escaped(document.suffix[1:])}" if document.suffix else ""
    head = f"Report{model} on {run.commit[:8]}, [run {run.id}]({run.address})"
    first = "\n\n".join(filter(None, [judging.notice(number), undelivered.notice(number)]))
    if document.documentation_only:
        refuse_untrue(number)
        files.write(workspace.COMMENT, "\n\n".join(filter(None, [f"{head}: {page.strip()}", first])) + "\n")
    else:
        head = f"{head}\n\n{first}" if first else head
        room = LIMIT - len(head) - len(notes)
        files.write(workspace.COMMENT, f"{head}\n\n{shortened(page, room, more)}{notes}\n")
    how = comments.post(number, run.commit, TITLE + document.suffix)
    return f"Report{model} posted to #{number} {how}."


def refuse_untrue(number: int) -> None:
    """Raise `Failure` if the pull request changes more than documentation: what it claims of itself proves nothing."""
    names, complete = judging.changed_files(number)
    other = sorted(name for name in names if not ownership.is_documentation(name))
    if other or not complete:
        what = escaped(other[0]) if other else "more files than GitHub lists"
        raise Failure(f"the artifact says that only documentation changed, and GitHub names {what}; nothing is posted")


def base_note(document: Review, number: int) -> str:
    """Return a line if the pull request is not into the branch that the report compared with."""
    base = github.ask("GET", f"/pulls/{number}")["base"]["ref"]
    if document.base in ("", f"origin/{base}"):
        return ""
    return (
        f"\n⚠️ The report compared with {code(document.base)}, but this pull request is into {code(base)}: "
        "start the workflow `ci` again with that base."
    )


def label_note(document: Review, number: int) -> str:
    """Return a line if the report names a label that the pull request does not have: its code may claim anything."""
    claim = document.report.compatibility if document.report else None
    if claim is None or claim.accepted_by != "label" or not claim.accepted:
        return ""
    if acceptance.given(github.ask("GET", f"/pulls/{number}")).reason == claim.accepted:
        return ""
    return f"\n⚠️ No label `{acceptance.LABEL}` of this pull request accepts the break with the reason that the report names."
