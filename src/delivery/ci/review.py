"""Verb `review`: reproduce, compare and judge the model of a pull request, and write the report for its reviewer.

Writes reports/review/: review.json (which pull request and commit, and everything that the page shows), plots/, and
page.md for this run's own summary. Changed results that git or the store should keep go to reports/results/.
"""

import argparse
import json
import shutil

from msgspec.structs import replace

from delivery.adapters import git, github
from delivery.ci import reproduce, results
from delivery.ci.advice import stale_advice
from delivery.core import files, params, workspace
from delivery.core.errors import Failure
from delivery.decision import compare, gate, report
from delivery.pull_requests import acceptance
from delivery.render import markdown, review
from delivery.render.page import review_page
from delivery.render.review import Review

PAGE, DOCUMENT = workspace.REVIEW / "page.md", workspace.REVIEW / "review.json"
ERROR = 20_000  # characters of an error that are kept


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the verb."""
    parser.add_argument("--base", default="origin/main", metavar="REV", help="revision to compare with")
    parser.add_argument("--number", type=int, default=0, metavar="N", help="number of the pull request; 0 for none")
    parser.add_argument(
        "--pushes",
        action=argparse.BooleanOptionalAction,
        help="say on the page that a later job commits the changed results",
    )


def main(options: argparse.Namespace) -> int:
    """Write the review, show its page in the summary, and return 1 if the gate failed or results are stale."""
    github.output(suffix=git.suffix())
    reviewed = run(options.base, options.number, pushes=options.pushes)
    github.output(stale=json.dumps(bool(reviewed.stale)), verdict=reviewed.verdict)
    page = PAGE.read_text()
    github.summary(page)
    print(markdown.terminal_text(page))
    return 0 if reviewed.verdict != "fail" and not reviewed.stale else 1


def run(base: str, number: int, *, pushes: bool) -> Review:
    """Return the review, and write reports/review/ and, with stale results, reports/results/."""
    shutil.rmtree(workspace.REVIEW, ignore_errors=True)
    reviewed = Review(number=number, sha=git.head() or "", suffix=git.suffix(), base=base, pushed=bool(pushes))
    try:
        remade = reproduce.verify(reproduce.pipeline(), base)
        stale = tuple(reproduce.changed())
        reviewed = replace(reviewed, stale=stale, refuted=remade.refuted, unverified=remade.unverified)
        compare.run(params.load().compare, base)
        judged = gate.run(params.load(), acceptance.of_event)
        collected = report.collect()
        report.write(collected)
        reviewed = replace(reviewed, verdict=judged.verdict, report=collected)
        review.write(DOCUMENT, reviewed)
    except Failure as failure:
        reviewed = replace(reviewed, verdict="fail", report=None, error=str(failure)[:ERROR])
        review.write(DOCUMENT, reviewed)
    if reviewed.stale:
        results.collect(workspace.RESULTS_FOLDER)
    names = reviewed.report.plots if reviewed.report else ()
    copy_plots(names)
    advice = stale_advice(pushed=reviewed.pushed, refuted=bool(reviewed.refuted))
    page = review_page(reviewed, {name: f"plots/{name}.png" for name in names}, advice)
    files.write(PAGE, page)
    return reviewed


def copy_plots(names: tuple[str, ...]) -> None:
    """Copy the plots that the page shows into its folder."""
    for name in names:
        files.write(workspace.REVIEW / "plots" / f"{name}.png", (workspace.PLOTS / f"{name}.png").read_bytes())
