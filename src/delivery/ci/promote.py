"""Verb `promote`: a measured model to the environment of its branch; nothing is trained or built here.

The environment's alias moves last: whatever fails before leaves everything as it was.
"""

import argparse

from delivery.adapters import dvc, git, github
from delivery.ci import reproduce, results
from delivery.core import params, workspace
from delivery.core.errors import Failure
from delivery.decision import compare, gate, report
from delivery.deploy import environments, rehearse
from delivery.deploy.artifacts import place
from delivery.deploy.deploy import run as deliver
from delivery.registry import card, register, registry
from delivery.render import markdown

LONGEST = 125_000  # characters of a release's text


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("measure", "apply"), help="measure: reproduce and judge; apply: deliver")
    parser.add_argument("--branch", required=True, help="that was pushed to")
    parser.add_argument("--image", default="", metavar="NAME@DIGEST", help="built from this model")


def main(options: argparse.Namespace) -> None:
    target = of_branch(options.branch)
    if options.action == "measure":
        github.output(environment=target, data=dvc.data_digest(), suffix=git.suffix())
        measure()
        return
    said = apply(target, options.image)
    github.summary(said)
    print(said)


def of_branch(branch: str) -> str:
    """Raises Failure when no row of params.yaml names the branch."""
    known = params.load().promote.branches
    if branch not in known:
        raise Failure(f"params.yaml: promote.branches has no row for {branch}; it has {', '.join(known)}")
    return known[branch]


def measure() -> None:
    """The model that was reviewed, and the gate against what serves. Raises Failure when it may not go on."""
    reproduce.refuse(reproduce.run())
    compare.run(params.load().compare)
    verdict = gate.run(params.load()).verdict
    results.collect(workspace.RESULTS_FOLDER)
    page = report.run()
    github.summary(page)
    if verdict == "fail":
        raise Failure(f"the gate failed, so nothing is delivered; {workspace.GATE_PAGE} says why")
    print(markdown.plain(page))


def apply(target: str, image: str) -> str:
    """Deploys, checks, registers and points; returns what there is to tell."""
    commit = git.head() or ""
    register.refuse_unfit()  # before anything starts
    if place(target).target != "rehearsal":
        return lasting(target, commit, image)
    with github.deployment(target, commit, f"commit {commit[:8]}"):
        github.refuse_unattested(image)
        rehearse.run(workspace.EXPORT, "", image)
        if newer := environments.newer(target, commit):
            return f"`{target}` keeps version {newer}, whose commit came after {commit[:8]}."
        results.admit(workspace.RESULTS_FOLDER)
        version = environments.point(target, lambda: register.run(image=image)["version"], "promote")
    said = f"Version {version} of commit {commit[:8]} is `{target}`. {environments.REHEARSAL.format(target)}"
    return f"{said} {release(target, version)}".strip()


def lasting(target: str, commit: str, image: str) -> str:
    """Rehearsed first, so that what is registered stands the load; then beside what runs there."""
    github.refuse_unattested(image)
    rehearse.run(workspace.EXPORT, "", image)
    if newer := environments.newer(target, commit):
        return f"`{target}` keeps version {newer}, whose commit came after {commit[:8]}."
    results.admit(workspace.RESULTS_FOLDER)
    version = environments.kept(lambda: register.run(image=image)["version"])
    return f"{deliver(version, target, how='promote')} {release(target, version)}".strip()


def release(target: str, version: str) -> str:
    """A GitHub release with the card of a version, once; what came of it in a sentence. It never stops a delivery."""
    if not github.inside() or target not in params.load().promote.releases:
        return ""
    client = registry.connect()
    found = registry.find(client, version)
    # The number alone would name two models where a registry was begun again.
    name = f"model-{version}-{found.tags[registry.DIGEST][:8]}"
    text = (registry.download(client, found, workspace.CACHE / "versions" / version) / card.FILE).read_text()
    commit = found.tags["git.commit"]
    body = {"tag_name": name, "target_commitish": commit, "name": f"Model, version {version}", "body": text[:LONGEST]}
    try:
        if name in {entry["tag_name"] for entry in github.pages("/releases")}:
            return ""
        return f"[Release {name}]({github.ask('POST', '/releases', body)['html_url']}) has its card."
    except Failure as failure:
        return f"There is no release: {failure}."
