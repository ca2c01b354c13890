"""Verb `retrain`: keep the one pull request with a newly trained model as the last check decided.

Open it or bring it up to date if `drift` says retrain, close it if it says withdraw. A branch that somebody else
has pushed to gets a comment and is left as it is.
"""

import argparse

from delivery.adapters import dvc, github, large_files, store
from delivery.core import documents, files, params, workspace
from delivery.core.params_file import edited
from delivery.data import fetch
from delivery.drift.result import Decision
from delivery.pull_requests import checks, images, proposal
from delivery.pull_requests.proposal import RETRAINING, PullRequest
from delivery.render.page import shortened

PLOTS = {"drift.gains": "What a challenger would have gained", "drift.shift": "Drift per column"}
LIMIT = 60_000  # of GitHub's 65,536 characters


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the verb."""
    parser.add_argument(
        "--dispatch",
        action=argparse.BooleanOptionalAction,
        help="start the checks by workflow_dispatch; a pull request opened with the workflow's own token triggers none of them",
    )


def main(options: argparse.Namespace) -> None:
    """Open, update or close the pull request as the last check decided."""
    decision = documents.read(workspace.DRIFT, Decision, "drift")
    if decision.retrain:
        outcome = propose(decision, dispatch=options.dispatch)
    elif decision.withdraw and (pull := proposal.find_open(RETRAINING)):
        outcome = withdraw(pull, decision)
    else:
        outcome = f"no pull request for {decision.period}: {decision.why}"
    github.summary(outcome)
    print(f"retrain: {outcome}")


def propose(decision: Decision, *, dispatch: bool) -> str:
    """Push data and model to the store, then open or update the pull request. Return what was done."""
    period = decision.period

    def make(branch: str) -> str:
        build(period, branch)
        return body(period)

    reason = f"The check of {period} asks for a retraining: {decision.why}."
    outcome, done = proposal.offer(RETRAINING, period, f"Retrain with {period}", reason, make)
    if dispatch and done:
        checks.start(done.branch, done.commit, done.number)
    return outcome


def withdraw(pull: PullRequest, decision: Decision) -> str:
    """Close the pull request with the reason, unless others have commits on its branch. Return what was done."""
    text = f"The check of {decision.period} no longer asks for this: {decision.why}."
    if others := proposal.inspect_branch(pull.branch).others:
        return proposal.leave_open(pull, f"{text} This branch has commits by {others}, so it stays open.")
    proposal.comment_once(pull.number, f"{text} Reopen it if you know better; its branch is kept.")
    proposal.close(pull)
    return f"#{pull.number} is closed: {decision.why}"


def build(period: str, branch: str) -> None:
    """Run the pipeline with data until the period, and push its results before a commit names them."""
    fetch_until(period)
    fetch.into(workspace.DATA, period)
    dvc.run("add", "--quiet", str(workspace.DATA))
    large_files.refuse_before_training(lambda: dvc.run("repro", "prepare"))
    dvc.run("repro")
    large_files.refuse_objects(workspace.ARTIFACTS)
    dvc.run("push", "--quiet")
    store.push(f"Data and model of {branch}", redo=lambda: None)


def fetch_until(period: str) -> None:
    """Set fetch.until in params.yaml; the rest of the file stays."""
    files.write(workspace.PARAMS, edited(params.read(), "fetch", {"until": period}))
    params.load()


def body(period: str) -> str:
    """Return the evidence page with its plots. The page is already escaped."""
    shown, _ = images.reencoded(workspace.REPORTS, PLOTS, images.Budget())
    addresses = images.publish(shown, f"retrain-{period}")
    lines = [f'<img src="{address}" alt="{PLOTS[name]}" width="400">' for name, address in addresses.items()]
    page = shortened(workspace.DRIFT_PAGE.read_text(), LIMIT, "")
    last = f"Made by [this run]({github.run_url()}). Later checks bring it up to date or close it; push to its branch, and it is yours."
    return f"{page}\n" + "\n".join(lines) + f"\n\n{last}\n"
