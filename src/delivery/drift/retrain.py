"""Verb `retrain`: a pull request with a model that has seen the new month, if `drift` found that worth it."""

import argparse
import os
import re
from pathlib import Path

from delivery import cml, fetch, files, git, github, params, reproduce, store
from delivery.drift import check
from delivery.errors import Failure
from delivery.params import PARAMS
from delivery.results import CHECKS

CHANGES = (str(PARAMS), "data.dvc", *reproduce.RESULTS)
PREFIX = "retrain/"
MAY_NOT = "GitHub Actions is not permitted to create"
CLICK = (
    "this repository does not let Actions open pull requests: Settings > Actions > General > Workflow permissions > "
    "tick `Allow GitHub Actions to create and approve pull requests`, then run this again; the branch is pushed"
)


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--dispatch",
        action=argparse.BooleanOptionalAction,
        help="start the checks: our token's pull request starts none",
    )


def main(options: argparse.Namespace) -> None:
    found = files.read_json(check.JSON, "drift")
    github.summary(check.MARKDOWN.read_text())
    if not found["retrain"]:
        print(f"retrain: no pull request for {found['month']}: {found['why']}")
        return
    branch = PREFIX + found["month"]
    if others := opened():
        said = f"no second pull request while #{others[0]['number']} ({others[0]['head']['ref']}) is open"
        github.summary(said)
        print(f"retrain: {said}")
        return
    said = propose(found["month"], branch)
    if options.dispatch:
        number = opened(branch)[0]["number"]
        for workflow in CHECKS:
            inputs = {"number": str(number)} if workflow == "report.yml" else {}
            github.ask("POST", f"/actions/workflows/{workflow}/dispatches", {"ref": branch, "inputs": inputs})
    github.summary(said)
    print(f"retrain: {said}")


def opened(branch: str = PREFIX) -> list[dict]:
    """Open pull requests from this repository's branches of that name, or that begin with it."""
    pulls = [
        pull for pull in github.pages("/pulls") if (pull["head"]["repo"] or {}).get("full_name") == github.repository()
    ]
    return [pull for pull in pulls if pull["head"]["ref"].startswith(branch)]


def propose(month: str, branch: str) -> str:
    """Data and model to the store, then the pull request. Returns its address."""
    until(month)
    fetch.into(files.DATA, month)
    reproduce.dvc("add", "--quiet", str(files.DATA))
    reproduce.dvc("repro")
    reproduce.dvc("push", "--quiet")
    store.push(f"Data and model of {branch}", redo=lambda: None)
    body = check.MARKDOWN.read_text()
    title = f"Retrain with {month}"
    why = by_cml(branch, title, body)
    if why and not opened(branch):
        if MAY_NOT in why:
            raise Failure(CLICK)
        by_api(branch, title, body)
    return f"pull request {opened(branch)[0]['html_url']}"


def until(month: str) -> None:
    """fetch.until in params.yaml, the rest of the file untouched."""
    text, changed = re.subn(r'(?m)^(  until: )"?[\w-]+"?', rf'\g<1>"{month}"', PARAMS.read_text(), count=1)
    if not changed:
        raise Failure("params.yaml has no line `  until: ...` under fetch")
    files.write(PARAMS, text)
    params.load()


def by_cml(branch: str, title: str, body: str) -> str:
    """CML's reason for failing, or nothing."""
    words = [f"--branch={branch}", f"--title={title}", f"--message={title}", f"--body={body}"]
    return cml.run("pr", "create", *words, *[path for path in CHANGES if Path(path).exists()], key=MAY_NOT)


def by_api(branch: str, title: str, body: str) -> None:
    """The same without CML."""
    if git.git("branch", "--show-current") != branch:
        git.git("checkout", "--quiet", "-B", branch)
        git.git("add", "--force", "--", *[path for path in CHANGES if Path(path).exists()])
        git.git(*store.IDENTITY, "commit", "--quiet", "--message", title)
        git.git("push", "--quiet", "origin", f"HEAD:refs/heads/{branch}")
    base = os.environ.get("GITHUB_REF_NAME", "main")
    try:
        github.ask("POST", "/pulls", {"title": title, "head": branch, "base": base, "body": body})
    except Failure as failure:
        raise Failure(CLICK) if MAY_NOT in str(failure) else failure from None
