"""Verb `retrain`: the one open pull request with a newly trained model, as the last check would have it.

Opened or brought up to date where `drift` says retrain, closed where it says withdraw. A branch that somebody else
has pushed to is theirs: it gets a comment and is left as it is.
"""

import argparse

from delivery.adapters import dvc, github, store
from delivery.core import files, params, workspace
from delivery.core.params_file import edited
from delivery.data import fetch
from delivery.pull_requests import images, proposal
from delivery.pull_requests.proposal import RETRAINING
from delivery.render.page import shortened

PLOTS = {"drift.gains": "What a challenger would have gained", "drift.shift": "Drift per column"}
LIMIT = 60_000  # of GitHub's 65,536 characters


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--dispatch",
        action=argparse.BooleanOptionalAction,
        help="start the checks: our token's pull request starts none",
    )


def main(options: argparse.Namespace) -> None:
    found = files.read_json(workspace.DRIFT, "drift")
    if found["retrain"]:
        said = propose(found["month"], found["why"], dispatch=options.dispatch)
    elif found["withdraw"] and (pull := proposal.opened(RETRAINING)):
        said = withdraw(pull, found["month"], found["why"])
    else:
        said = f"no pull request for {found['month']}: {found['why']}"
    github.summary(said)
    print(f"retrain: {said}")


def propose(month: str, why: str, *, dispatch: bool) -> str:
    """Data and model to the store, then the pull request. Returns what was done."""

    def make(branch: str) -> str:
        build(month, branch)
        return body(month)

    asks = f"The check of {month} asks for a retraining: {why}."
    said, done = proposal.offer(RETRAINING, month, f"Retrain with {month}", asks, make)
    if dispatch and done:
        proposal.start_checks(done.branch, done.commit, done.number)
    return said


def withdraw(pull: dict, month: str, why: str) -> str:
    """Closes what no longer holds, with the reason."""
    text = f"The check of {month} no longer asks for this: {why}."
    if others := proposal.look(pull["head"]["ref"]).others:
        return proposal.leave(pull, f"{text} This branch has commits by {others}, so it stays open.")
    proposal.tell(pull["number"], f"{text} Reopen it if you know better; the branch is still there.")
    github.ask("PATCH", f"/pulls/{pull['number']}", {"state": "closed"})
    return f"#{pull['number']} is closed: {why}"


def build(month: str, branch: str) -> None:
    """The pipeline with data until the month; what it makes is in the store before anything names it."""
    until(month)
    fetch.into(workspace.DATA, month)
    dvc.run("add", "--quiet", str(workspace.DATA))
    dvc.run("repro")
    dvc.run("push", "--quiet")
    store.push(f"Data and model of {branch}", redo=lambda: None)


def until(month: str) -> None:
    """fetch.until in params.yaml, the rest of the file untouched."""
    files.write(workspace.PARAMS, edited(params.read(), "fetch", {"until": month}))
    params.load()


def body(month: str) -> str:
    """Return the evidence page with its plots; what comes from the source is escaped where the page is made."""
    shown, _ = images.reencoded(workspace.REPORTS, PLOTS, images.Budget())
    addresses = images.publish(shown, f"retrain-{month}")
    lines = [f'<img src="{address}" alt="{PLOTS[name]}" width="400">' for name, address in addresses.items()]
    page = shortened(workspace.DRIFT_PAGE.read_text(), LIMIT, "")
    last = f"Made by [this run]({github.run_url()}). Later checks bring it up to date or close it; push to its branch, and it is yours."
    return f"{page}\n" + "\n".join(lines) + f"\n\n{last}\n"
