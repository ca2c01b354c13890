"""From a push to main to staging: what is registered, what serves, and what a failure leaves as it was."""

import json
import re

import edits
import pytest
from harness.gitserver import git
from harness.hub import Token
from harness.world import World, run


@pytest.fixture
def only_promote(settled):
    settled.router.disabled = ("ci.yml", "comment.yml", "doctor.yml", "refresh.yml")
    return settled


def push(world: World, edit: edits.Edit, message: str, branch: str = "main") -> str:
    folder = world.clone()
    edit(folder)
    return world.push(folder, message, branch)


def test_merging_delivers_what_was_reviewed(settled):
    settled.router.disabled = ("doctor.yml", "refresh.yml")
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
    assert name == f"model-2-{tags['release.digest'][:12]}"
    assert settled.repo.sha(f"refs/tags/{name}") == commit
    assert settled.records()[name] == {
        "version": "2", "release": tags["release.digest"], "model": tags["model.digest"], "image": tags["image.digest"],
        "attested": True,
    }  # fmt: skip
    assert "- approved by: bob" in card
    assert name in promote.summary


def test_a_message_that_starts_nothing_is_named_before_the_merge_and_found_after_it(settled):
    settled.router.disabled = ("doctor.yml", "refresh.yml", "tag.yml")
    settled.router.dispatch(settled.repo, "promote.yml")  # of the commit before
    number = settled.propose("slower", edits.BETTER, title="Learn slower [skip ci]")
    assert settled.settle() == []  # GitHub starts nothing for it
    settled.hub.say(settled.repo, number, "/results", Token("ada", settled.repo.name, "person"))
    settled.settle()
    (comment,) = [said for said in settled.comments(number) if said.startswith("Report on")]
    assert "its title says `[skip ci]`" in comment
    assert settled.mergeable(number)

    commit = settled.merge(number, squash=True)
    assert settled.settle() == []
    settled.router.disabled = ("refresh.yml", "tag.yml")
    settled.router.dispatch(settled.repo, "doctor.yml")
    found = f"promote has not run for {commit[:8]} of `main`: its message says `[skip ci]`"
    assert (
        f"| ❌ | newest commit | {found} | `gh workflow run promote.yml --ref main` |" in run(settled, "doctor").summary
    )
    (issue,) = settled.repo.issues
    assert found in issue["body"]
    settled.router.dispatch(settled.repo, "promote.yml")
    assert settled.aliases() == {"staging": commit}
    settled.router.dispatch(settled.repo, "doctor.yml")
    assert f"promote has run for {commit[:8]} of `main`: success" in run(settled, "doctor").summary


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
    assert summaries.keys() == {"promote", "doctor", "refresh", "tag"}
    assert settled.aliases() == {"staging": settled.repo.sha("main")}
    assert any(path.startswith("dvc/files/md5/") for path in settled.stored())
    assert "Nothing has to be fixed" in summaries["doctor"]
    assert "gh api repos/{owner}/{repo}/rulesets" in summaries["doctor"]
    assert "APP_CLIENT_ID" in summaries["doctor"]


@pytest.mark.parametrize(
    ("edit", "job", "says"),
    [
        (edits.both(edits.params(auc=0.99), edits.OTHER_IMAGE), "measure", "floor auc"),
        (edits.BETTER, "measure", "dvc.lock"),  # pushed past review, with a lock of another model
        (edits.BROKEN_CONTRACT, "apply", "breaks its contract"),
        (edits.both(edits.params(min_rps=1e9), edits.OTHER_IMAGE), "apply", "fails the load test"),
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


def test_a_push_that_changes_nothing_delivered_ends_early_and_green(only_promote):
    before, versions, images = only_promote.aliases(), only_promote.versions(), only_promote.images()
    push(only_promote, edits.written("NOTES.md", "more words"), "Words")
    only_promote.settle()
    promote = run(only_promote, "promote")
    assert promote.conclusion == "success"
    assert promote.jobs["promote / measure"] == "success"
    assert promote.jobs["promote / image"] == promote.jobs["promote / apply"] == "skipped"
    assert "Nothing that is delivered has changed: version 1 is `staging`." in promote.summary
    assert (only_promote.aliases(), only_promote.versions(), only_promote.images()) == (before, versions, images)


def test_code_that_serves_is_delivered_with_the_same_model_and_without_vulnerabilities(only_promote):
    before, aliases = only_promote.versions(), only_promote.aliases()
    only_promote.knows_vulnerable("fastapi")
    push(only_promote, edits.OTHER_IMAGE, "Another image")
    only_promote.settle()
    promote = run(only_promote, "promote")
    assert (promote.jobs["promote / image"], promote.jobs["promote / apply"]) == ("failure", "skipped")
    places = re.findall(r"(?m)^\| `GHSA-test` \| high \| `fastapi` [\d.]+ \| (.*) \| 99\.0 \|", promote.summary)
    assert places == ["image", "requirements/"]  # the locks, and what promote has listed of the image
    assert (only_promote.aliases(), only_promote.versions()) == (aliases, before)
    assert not [
        image for image in only_promote.images().values() if image["runs"] == promote.id and "attested" in image
    ]
    commit = push(only_promote, edits.excepted("GHSA-test", 30), "Until next month")
    only_promote.settle()
    promote = run(only_promote, "promote")
    assert promote.conclusion == "success"
    assert "Version 2 of commit" in promote.summary
    assert "Changed since version 1: model unchanged; Dockerfile." in promote.summary
    assert "The same predictions on the same" in promote.summary
    assert "`GHSA-test` of `fastapi` is excepted until " in promote.summary
    assert only_promote.aliases()["staging"] == commit
    assert set(only_promote.versions()) == {*before, commit}
    one, other = (only_promote.tags(name) for name in (*before, commit))
    assert one["model.digest"] == other["model.digest"]
    assert one["image.digest"] != other["image.digest"]


def test_what_was_rolled_back_does_not_return_with_the_next_push(only_promote):
    first = only_promote.aliases()["staging"]
    folder = only_promote.clone()
    second = only_promote.pushed_reproduced(folder, edits.BETTER)
    only_promote.settle()
    assert only_promote.aliases()["staging"] == second
    only_promote.router.dispatch(only_promote.repo, "rollback.yml", environment="staging", reason="wrong scores")
    assert only_promote.aliases()["staging"] == first
    push(only_promote, edits.written("NOTES.md", "words"), "Words")
    only_promote.settle()
    promote = run(only_promote, "promote")
    assert promote.conclusion == "success"
    assert "`staging` keeps version 1: version 2 was rolled back there" in promote.summary
    assert "wrong scores" in promote.summary
    assert only_promote.aliases()["staging"] == first


def test_after_a_revert_a_rerun_of_the_reverted_commit_changes_nothing(only_promote):
    first = only_promote.aliases()["staging"]
    folder = only_promote.clone()
    second = only_promote.pushed_reproduced(folder, edits.BETTER)
    older = [event for event in only_promote.hub.events if event.name == "push"]
    only_promote.settle()
    assert only_promote.aliases()["staging"] == second
    git(folder, "revert", "--no-edit", second)
    git(folder, "push", "--quiet", "origin", "HEAD:refs/heads/main")
    only_promote.settle()
    assert only_promote.aliases()["staging"] == first
    assert [event.sha for event in older] == [second]
    (rerun,) = only_promote.router.at_once(*older)
    assert rerun.conclusion == "success"
    assert "`staging` keeps version 1: " in rerun.summary
    assert only_promote.aliases()["staging"] == first


def test_running_everything_again_changes_nothing(only_promote):
    before, versions, files = only_promote.aliases(), only_promote.versions(), set(only_promote.stored())
    only_promote.router.dispatch(only_promote.repo, "promote.yml")
    assert run(only_promote, "promote").conclusion == "success"
    assert only_promote.aliases() == before
    assert only_promote.versions() == versions
    assert set(only_promote.stored()) == files
