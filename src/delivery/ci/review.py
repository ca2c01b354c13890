"""Verb `review`: what a reviewer of a pull request sees. Reproduces, compares, judges, and puts the page together.

Writes reports/review/: page.md, review.json (which pull request and commit, so that who posts it can check)
and plots/. With something changed that git or the store should keep, results/ beside it.
"""

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

from delivery.adapters import git, github
from delivery.ci import reproduce, results
from delivery.core import files, params, workspace
from delivery.core.errors import Failure
from delivery.decision import compare, gate, report
from delivery.render import markdown

PAGE, CLAIM = workspace.REVIEW / "page.md", workspace.REVIEW / "review.json"
SENTENCES = {
    "pushed": "The right ones are being committed to this branch; the checks of that commit decide.",
    "by hand": f"Please {reproduce.advice()}: `git commit -m 'Results' {' '.join(workspace.RESULTS)}`.",
}


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--base", default="origin/main", metavar="REV", help="what to compare with")
    parser.add_argument("--number", type=int, default=0, metavar="N", help="of the pull request")
    parser.add_argument("--pushes", action=argparse.BooleanOptionalAction, help="a later job commits changed results")


def main(options: argparse.Namespace) -> int:
    github.output(suffix=git.suffix())
    found = run(options.base, options.number, pushes=options.pushes)
    github.output(stale=json.dumps(bool(found["stale"])), verdict=found["verdict"])
    github.summary(PAGE.read_text())
    print(markdown.plain(PAGE.read_text()))
    return 0 if found["verdict"] != "fail" and not found["stale"] else 1


def run(base: str, number: int, *, pushes: bool) -> dict:
    """The claim: pull request, commit, verdict, and which committed results are stale. Writes FOLDER."""
    shutil.rmtree(workspace.REVIEW, ignore_errors=True)
    claim: dict[str, Any] = {
        "number": number,
        "sha": git.head(),
        "suffix": git.suffix(),
        "verdict": "fail",
        "stale": [],
    }
    try:
        claim["stale"] = reproduce.run()
        compare.run(params.load().compare, base)
        claim["verdict"] = gate.run(params.load()).verdict
        page = report.run()
    except Failure as failure:
        page = f"**❌ The pipeline stopped: {failure}**\n"
    if claim["stale"]:
        page = stale(claim["stale"], pushes=pushes) + page
        results.collect(workspace.REVIEW.parent / "results")
    files.write(PAGE, page)
    files.write_json(CLAIM, claim)
    if workspace.PLOTS.is_dir():
        shutil.copytree(
            workspace.PLOTS,
            workspace.REVIEW / "plots",
            ignore=lambda _, names: [n for n in names if Path(n).suffix != ".png"],
        )
    return claim


def stale(changed: list[str], *, pushes: bool) -> str:
    names = ", ".join(f"`{name}`" for name in changed)
    what = f"**⚠️ {names} of this commit are not what its code, params and data give.**"
    return f"{what} {SENTENCES['pushed' if pushes else 'by hand']}\n\n"
