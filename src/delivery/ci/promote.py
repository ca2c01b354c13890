"""Verb `promote`: deliver a measured model to the environment of its branch; nothing is trained or built here.

The environment's alias moves last, so a failure before that changes nothing.
"""

import argparse
import json
from collections.abc import Callable
from functools import partial

from delivery.adapters import deployments, dvc, git, github, store
from delivery.ci import reproduce, results
from delivery.core import files, params, workspace
from delivery.core.errors import Failure
from delivery.decision import compare, gate, report
from delivery.deploy import admission, environments, rehearse
from delivery.deploy.deploy import run as deliver
from delivery.pull_requests import acceptance
from delivery.registry import attestation, card, integrity, register, registry, release
from delivery.registry.version import Version, aliased, same_release
from delivery.render import markdown

LONGEST = 125_000  # characters that GitHub takes as a release's text


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the verb."""
    parser.add_argument(
        "action", choices=("measure", "apply"), help="measure: reproduce the model and judge it; apply: deliver it"
    )
    parser.add_argument("--branch", required=True, help="branch that was pushed")
    parser.add_argument("--image", default="", metavar="NAME@DIGEST", help="image that was built from this model")
    parser.add_argument(
        "--attestation",
        default="success",
        choices=("success", "failure"),
        help="outcome of the step that attested the image; a private repository may have none (default: %(default)s)",
    )


def main(options: argparse.Namespace) -> None:
    """Measure the model of this commit, or deliver it."""
    environment = environment_of(options.branch)
    if options.action == "measure":
        github.output(environment=environment, data=dvc.data_digest(), suffix=git.suffix())
        print(markdown.terminal_text(measure(environment)))
        return
    outcome = apply(environment, options.image, options.attestation)
    github.summary(outcome)
    print(outcome)


def environment_of(branch: str) -> str:
    """Return the environment that a branch promotes to. Raise `Failure` if params.yaml names none."""
    known = params.load().promote.branches
    if branch not in known:
        raise Failure(f"params.yaml: promote.branches has no row for {branch}; it has {', '.join(known)}")
    return known[branch]


def measure(environment: str) -> str:
    """Reproduce the model that was reviewed and judge it against what serves; return the page.

    A push that the environment does not take ends here, before an image is built. Raise `Failure` if the gate fails.
    """
    ran = reproduce.pipeline()
    reproduce.refuse(reproduce.changed())
    kept = admission.objection(environment, release.current(), git.head() or "", again=github.by_hand())
    github.output(delivers=json.dumps(not kept))
    if kept:
        github.summary(kept)
        return kept
    # Whatever the pull request's report found: somebody may have pushed, or merged it red.
    remade = reproduce.verify(ran)
    reproduce.refuse(reproduce.changed(), remade)
    compare.run(params.load().compare)
    verdict = gate.run(params.load(), partial(acceptance.merged_since, serving_commit(environment))).verdict
    results.collect(workspace.RESULTS_FOLDER)
    page = "".join([report.run(), *(f"\n⚠️ {reproduce.unverified(stage)}.\n" for stage in remade.unverified)])
    github.summary(page)
    if verdict == "fail":
        raise Failure(f"the gate failed, so nothing is delivered; {workspace.GATE_PAGE} says why")
    return page


def serving_commit(environment: str) -> str:
    """Return the commit of the version that serves the environment; empty if none does."""
    serving = aliased(registry.versions(), environment) if registry.exists() else None
    return serving.commit if serving else ""


def apply(environment: str, image: str, attestation_outcome: str = "success") -> str:
    """Check, register and deploy the model; return the outcome in words. Raise `Failure` if a check fails."""
    commit = git.head() or ""
    register.refuse_unfit()  # before anything starts
    released = release.current()
    if kept := admission.objection(environment, released, commit, again=github.by_hand()):
        return kept
    known = registered_version(released)
    image = known.image if known and known.image else image
    attested = (
        partial(attestation.refuse, known)
        if known and known.image
        else partial(attestation.refuse_built, image, attestation_outcome)
    )
    allow = partial(admission.refuse, environment, released, commit)
    try:
        if environments.settings(environment).target in environments.KINDS:
            return deliver_to_lasting(environment, image, attested, allow)
        return deliver_rehearsed(environment, commit, image, attested, allow)
    except admission.Kept as kept:
        return str(kept)


def deliver_rehearsed(
    environment: str, commit: str, image: str, attested: Callable[[], bool], allow: Callable[[], None]
) -> str:
    """Rehearse the model, then register it and move the alias; `allow` raises `admission.Kept` if that must not be."""

    def registered() -> str:
        allow()  # again on a newer store, if another writer was faster
        return register.run(image=image).version

    with deployments.deployment(environment, commit, f"commit {commit[:8]}"):
        signed = attested()
        rehearse.run(workspace.EXPORT, "", image)
        refresh()
        allow()
        results.admit(workspace.RESULTS_FOLDER)
        version = environments.point(environment, registered, "promote")
        missed = record(version, image, signed)
    outcome = (
        f"Version {version} of commit {commit[:8]} is `{environment}`. {environments.REHEARSAL.format(environment)}"
    )
    return f"{outcome} {changes(version)}{missed}{publish(environment, version)}".strip()


def deliver_to_lasting(environment: str, image: str, attested: Callable[[], bool], allow: Callable[[], None]) -> str:
    """Rehearse the model first, so that only one that passes the load test is registered; then deploy it."""
    signed = attested()
    rehearse.run(workspace.EXPORT, "", image)
    refresh()
    allow()
    results.admit(workspace.RESULTS_FOLDER)
    version = environments.keep(lambda: register.run(image=image).version)
    missed = record(version, image, signed)
    outcome = deliver(version, environment, how="promote", allow=allow)
    return f"{outcome} {changes(version)}{missed}{publish(environment, version)}".strip()


def refresh() -> None:
    """Get what other writers have recorded meanwhile."""
    if registry.address() is None:
        store.pull()


def registered_version(released: str) -> Version | None:
    """Return the version that is this release already, so that it keeps its image; None if there is none."""
    return same_release(registry.versions(), released) if registry.exists() else None


def record(version: str, image: str, attested: bool) -> str:
    """Record in git what was measured as a version; return a sentence and a space if git refuses, else an empty string."""
    digest = files.digest(workspace.EXPORT)
    missed = integrity.record(registry.find(version), release.current(), digest, image, attested=attested)
    return f"{missed} " if missed else ""


def changes(version: str) -> str:
    """Return a sentence about what a version has changed, with a space after it; empty if nothing is on record."""
    text = registry.find(version).changes
    return f"Changed {text}. " if text else ""


def publish(environment: str, version: str) -> str:
    """Make a GitHub release with the card of a version, unless there is one; return a sentence about it.

    A release that fails does not stop a delivery.
    """
    if not github.inside() or environment not in params.load().promote.releases:
        return ""
    registered = registry.find(version)
    name = integrity.tag_name(version, registered.release or registered.digest)
    text = (registry.download(registered, workspace.CACHE / "versions" / version) / card.FILE).read_text()
    body = {
        "tag_name": name,
        "target_commitish": registered.commit,
        "name": f"Version {version}",
        "body": text[:LONGEST],
    }
    try:
        if name in {entry["tag_name"] for entry in github.pages("/releases")}:
            return ""
        return f"[Release {name}]({github.ask('POST', '/releases', body)['html_url']}) has its card."
    except Failure as failure:
        return f"There is no release: {failure}."
