"""Verb `retrain`: the one open pull request with a newly trained model, as the last check would have it.

Opened or brought up to date where `drift` says retrain, closed where it says withdraw. A branch that somebody else
has pushed to is theirs: it gets a comment and is left as it is.
"""

import argparse
import re

from delivery import fetch, files, github, page, params, pictures, reproduce, store
from delivery.drift import check, proposal
from delivery.errors import Failure
from delivery.params import PARAMS
from delivery.results import CHECKS

PLOTS = {"drift.gains.png": "What a challenger would have gained", "drift.shift.png": "Drift per column"}


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--dispatch",
        action=argparse.BooleanOptionalAction,
        help="start the checks: our token's pull request starts none",
    )


def main(options: argparse.Namespace) -> None:
    found = files.read_json(check.JSON, "drift")
    if found["retrain"]:
        said = propose(found["month"], found["why"], dispatch=options.dispatch)
    elif found["withdraw"] and (pull := proposal.opened()):
        said = withdraw(pull, found["month"], found["why"])
    else:
        said = f"no pull request for {found['month']}: {found['why']}"
    github.summary(said)
    print(f"retrain: {said}")


def propose(month: str, why: str, *, dispatch: bool) -> str:
    """Data and model to the store, then the pull request. Returns what was done."""
    title, pull = f"Retrain with {month}", proposal.opened()
    branch = proposal.look(pull["head"]["ref"] if pull else proposal.PREFIX + month)
    if not pull and (closed := proposal.refused(branch.name, title)):
        return f"no pull request for {month}: #{closed['number']} was closed without being merged; reopen it there"
    if branch.others and not pull:
        raise Failure(f"{branch.name} has commits by {branch.others} and no pull request; open one, or rename it")
    if pull and branch.others:
        text = f"The check of {month} asks for a retraining: {why}."
        return leave(pull, f"{text} This branch has commits by {branch.others}, so nothing is changed here.")
    build(month, branch.name)
    done = proposal.put(branch, title, body(month), pull)
    if dispatch and done.moved:
        for workflow in CHECKS:
            inputs = {"number": str(done.number)} if workflow == "report.yml" else {}
            github.ask("POST", f"/actions/workflows/{workflow}/dispatches", {"ref": branch.name, "inputs": inputs})
    return f"#{done.number} {done.how}: {done.address}"


def withdraw(pull: dict, month: str, why: str) -> str:
    """Closes what no longer holds, with the reason."""
    text = f"The check of {month} no longer asks for this: {why}."
    if others := proposal.look(pull["head"]["ref"]).others:
        return leave(pull, f"{text} This branch has commits by {others}, so it stays open.")
    proposal.tell(pull["number"], f"{text} Reopen it if you know better; the branch is still there.")
    github.ask("PATCH", f"/pulls/{pull['number']}", {"state": "closed"})
    return f"#{pull['number']} is closed: {why}"


def leave(pull: dict, text: str) -> str:
    """A word to those who made the branch theirs."""
    base = pull["base"]["ref"]
    if github.ask("GET", f"/pulls/{pull['number']}").get("mergeable") is False:
        text += f" It conflicts with `{base}`: merge `{base}` into it, and run `python -m delivery reproduce`."
    proposal.tell(pull["number"], f"{text} Merge it or close it; no other is opened while it is open.")
    return f"#{pull['number']} is left as it is: {text}"


def build(month: str, branch: str) -> None:
    """The pipeline with data until the month; what it makes is in the store before anything names it."""
    until(month)
    fetch.into(files.DATA, month)
    reproduce.dvc("add", "--quiet", str(files.DATA))
    reproduce.dvc("repro")
    reproduce.dvc("push", "--quiet")
    store.push(f"Data and model of {branch}", redo=lambda: None)


def until(month: str) -> None:
    """fetch.until in params.yaml, the rest of the file untouched."""
    text, changed = re.subn(r'(?m)^(  until: )"?[\w-]+"?', rf'\g<1>"{month}"', PARAMS.read_text(), count=1)
    if not changed:
        raise Failure("params.yaml has no line `  until: ...` under fetch")
    files.write(PARAMS, text)
    params.load()


def body(month: str) -> str:
    """The evidence page with its plots, safe to show: values come from the source."""
    shown = [(files.REPORTS / name, words) for name, words in PLOTS.items() if (files.REPORTS / name).exists()]
    addresses = pictures.publish([path for path, _ in shown], f"retrain-{month}")
    lines = [f'<img src="plots/{path.name}" alt="{words}" width="400">' for path, words in shown]
    last = f"Made by [this run]({github.run_url()}). Later checks bring it up to date or close it; push to its branch, and it is yours."
    return page.safe(f"{check.MARKDOWN.read_text()}\n" + "\n".join(lines), addresses, "") + f"\n\n{last}\n"
