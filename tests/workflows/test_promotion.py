"""From a push to main to staging: what is registered, what serves, and what a failure leaves as it was."""

import json

import edits
import pytest
from harness.world import World, run


@pytest.fixture
def only_promote(settled):
    settled.router.disabled = ("ci.yml", "report.yml", "comment.yml", "doctor.yml")
    return settled


def push(world: World, edit: edits.Edit, message: str, branch: str = "main") -> str:
    folder = world.clone()
    edit(folder)
    return world.push(folder, message, branch)


def test_merging_delivers_what_was_reviewed(settled):
    settled.router.disabled = ("ci.yml", "doctor.yml")
    number = settled.propose("slower", edits.BETTER)
    settled.settle()
    for login, state in (("eve", "APPROVED"), ("bob", "APPROVED"), ("eve", "CHANGES_REQUESTED"), ("bob", "COMMENTED")):
        settled.review(number, login, state)
    commit = settled.merge(number)
    settled.settle()
    promote = run(settled, "promote")
    assert set(promote.jobs.values()) == {"success"}
    assert settled.aliases() == {"staging": commit}
    tags = settled.tags(commit)
    name, _, digest = tags["image.digest"].partition("@")
    assert name == "ghcr.io/acme/demo"
    image = settled.images()[digest]
    assert set(image) >= {"sbom", "attested"}
    assert image["arguments"] == {"COMMIT": commit, "DATA": tags["data.digest"]}
    assert settled.deployments("staging") == ["success"]
    assert "is `staging`" in promote.summary
    assert "rehearsal" in promote.summary
    assert (tags["pull.request"], tags["approved.by"], tags["merged.by"]) == (str(number), "bob", "ada")
    name, card = list(settled.releases().items())[-1]
    assert name == f"model-2-{tags['model.digest'][:8]}"
    assert settled.repo.sha(f"refs/tags/{name}") == commit
    assert "- approved by: bob" in card
    assert name in promote.summary


def test_a_record_that_github_refuses_stops_no_delivery(only_promote):
    only_promote.hub.fail("GET", "/commits/[^/]+/pulls", 403)
    only_promote.hub.fail("POST", "/releases$", 403)
    releases = only_promote.releases()
    commit = only_promote.pushed_reproduced(only_promote.clone(), edits.BETTER)
    only_promote.settle()
    promote = run(only_promote, "promote")
    assert promote.conclusion == "success"
    assert only_promote.aliases()["staging"] == commit
    assert only_promote.tags(commit)["approved.by"].startswith("unknown: GitHub refused GET")
    assert only_promote.releases() == releases
    assert "There is no release: GitHub refused POST" in promote.summary


def test_a_fresh_repository_delivers_on_its_first_push_and_the_doctor_says_what_is_missing(settled, settled_origin):
    """The run itself is what `settled_origin` is made by, from a repository without a store."""
    summaries = json.loads((settled_origin.parent / "runs.json").read_text())
    assert summaries.keys() == {"promote", "doctor", "tag"}
    assert settled.aliases() == {"staging": settled.repo.sha("main")}
    assert any(path.startswith("dvc/files/md5/") for path in settled.stored())
    assert "Nothing has to be mended" in summaries["doctor"]
    assert "gh api repos/{owner}/{repo}/rulesets" in summaries["doctor"]
    assert "APP_CLIENT_ID" in summaries["doctor"]


@pytest.mark.parametrize(
    ("edit", "job", "says"),
    [
        (edits.params(auc=0.99), "measure", "floor auc"),
        (edits.BETTER, "measure", "dvc.lock"),  # pushed past review, with a lock of another model
        (edits.BROKEN_CONTRACT, "apply", "breaks its contract"),
        (edits.params(min_rps=1e9), "apply", "does not stand the load"),
    ],
    ids=["gate", "lock", "contract", "load"],
)
def test_what_fails_leaves_staging_as_it_was_and_says_why(only_promote, edit, job, says):
    before, versions = only_promote.aliases(), only_promote.versions()
    push(only_promote, edit, "Past review")
    only_promote.settle()
    promote = run(only_promote, "promote")
    assert promote.jobs[f"promote / {job}"] == "failure"
    assert says in promote.summary
    assert only_promote.aliases() == before
    assert only_promote.versions() == versions
    if job == "apply":
        assert only_promote.deployments("staging")[-1] == "failure"


def test_a_development_branch_has_its_own_environment(only_promote):
    before = only_promote.aliases()
    commit = push(only_promote, edits.written("NOTES.md", "try"), "Try", "develop")
    only_promote.settle()
    # The same model is the same version: its commit is the one that it was first registered for.
    assert only_promote.aliases() == before | {"development": before["staging"]}
    assert only_promote.deployments("development") == ["success"]
    assert commit != before["staging"]


def test_a_branch_without_an_environment_is_refused(only_promote):
    push(only_promote, edits.replaced("params.yaml", "    develop: development\n", ""), "No row", "develop")
    only_promote.settle()
    assert run(only_promote, "promote").conclusion == "failure"
    assert set(only_promote.aliases()) == {"staging"}


def test_two_at_once_lose_nothing_and_the_newer_stays(only_promote):
    folder = only_promote.clone()
    older = only_promote.pushed_reproduced(folder, edits.params(l2_regularization=0.1))
    newer = only_promote.pushed_reproduced(folder, edits.params(l2_regularization=0.2))
    events = [event for event in only_promote.hub.events if event.name == "push"]
    only_promote.hub.events.clear()
    runs = only_promote.router.at_once(*events)
    assert [run.conclusion for run in runs] == ["success", "success"]
    assert newer in only_promote.versions()
    assert only_promote.aliases()["staging"] == newer
    assert older != newer


def test_running_everything_again_changes_nothing(only_promote):
    before, versions, files = only_promote.aliases(), only_promote.versions(), set(only_promote.stored())
    only_promote.router.dispatch(only_promote.repo, "promote.yml")
    assert run(only_promote, "promote").conclusion == "success"
    assert only_promote.aliases() == before
    assert only_promote.versions() == versions
    assert set(only_promote.stored()) == files
