"""GitHub answering badly, and CML not to be had: retried, done another way, or reported; nothing is lost."""

from dataclasses import replace
from pathlib import Path

import edits
import pytest
from harness.gitserver import git
from harness.world import World, run, world

pytestmark = pytest.mark.xdist_group("faults")  # one report is enough for all of them


@pytest.fixture(scope="module")
def reported(tmp_path_factory, settled_origin, machine, certificate):
    """A pull request whose report is done and whose comment is still to come."""
    with world(tmp_path_factory.mktemp("faults") / "hub", settled_origin, machine, certificate) as made:
        made.router.disabled = ("comment.yml",)
        made.number = made.propose("words", edits.appended("params.yaml", "# words\n"), login="grace", fork=True)
        made.settle()
        made.router.disabled = ()
        yield made


@pytest.fixture
def proposed(reported):
    """Nothing posted yet, and GitHub well."""
    healthy = reported.router.machine
    yield reported
    reported.repo.comments.clear()
    reported.hub.faults.clear()
    reported.router.machine = healthy


def comment_again(world: World):
    """The button; the events of the report itself are not looked at."""
    world.hub.events.clear()
    return world.router.dispatch(world.repo, "comment.yml", run=str(run(world, "ci").id))[0]


def test_errors_and_rate_limits_are_waited_out(proposed):
    proposed.hub.fail("GET", "/pulls/", 500)
    proposed.hub.fail("GET", r"/actions/runs/\d+$", 403, Retry_After="1")
    proposed.hub.fail("POST", "/comments", 502, times=2)
    comment = comment_again(proposed)
    assert comment.conclusion == "success"
    assert len(proposed.comments(proposed.number)) == 1
    assert "without CML" in comment.summary  # its call got the 502; ours was repeated


def test_a_refusal_is_reported_and_can_be_made_good_by_hand(proposed):
    proposed.hub.fail("POST", "/comments", 403, times=9)
    assert comment_again(proposed).conclusion == "failure"
    assert "GitHub refused POST" in run(proposed, "comment").log
    assert proposed.comments(proposed.number) == []
    proposed.hub.faults.clear()
    assert comment_again(proposed).conclusion == "success"
    assert comment_again(proposed).conclusion == "success"
    assert len(proposed.comments(proposed.number)) == 1  # a rerun updates


def test_an_hour_of_rate_limit_is_not_waited_for(proposed):
    proposed.hub.fail("GET", r"/actions/runs/\d+$", 429, times=9, Retry_After="3600")
    assert comment_again(proposed).conclusion == "failure"


def test_without_cml_the_report_is_posted_all_the_same(proposed):
    proposed.router.machine = replace(proposed.router.machine, cml=Path("/nonexistent"))
    comment = comment_again(proposed)
    assert comment.conclusion == "success"
    assert "without CML (CML: it is not installed)" in comment.summary
    assert len(proposed.comments(proposed.number)) == 1


def test_half_of_cml_is_none_and_is_not_kept(proposed):
    machine = proposed.router.machine
    proposed.router.machine = replace(machine, environment=machine.environment | {"HUB_NPM": "broken"})
    comment = comment_again(proposed)
    assert comment.conclusion == "success"
    assert "without CML (CML: it is not installed)" in comment.summary
    assert "rm -rf .cml" in comment.log  # else a cache would bring it back for ever


def test_a_long_conversation_keeps_one_report(proposed):
    for _ in range(35):
        ident = proposed.hub.number()
        entry = {"id": ident, "number": proposed.number, "body": "words", "edits": 0, "html_url": "", "user": {}}
        proposed.repo.comments[ident] = entry
    assert comment_again(proposed).conclusion == "success"
    assert comment_again(proposed).conclusion == "success"
    reports = [body for body in proposed.comments(proposed.number) if "CML watermark report" in body]
    assert len(reports) == 1


def test_a_failed_comment_leaves_the_report_in_summary_and_artifact(proposed):
    report = run(proposed, "ci")
    assert "safe to merge" in report.summary
    assert (proposed.hub.folder / "artifacts" / str(report.id) / "review" / "page.md").exists()


def test_a_newer_commit_makes_an_older_report_silent(proposed):
    folder = proposed.clone("grace", proposed.hub.repos["grace/demo"])
    git(folder, "checkout", "--quiet", "words")
    edits.written("NOTES.md", "more")(folder)
    proposed.push(folder, "More", "words")
    proposed.hub.events.clear()
    comment = comment_again(proposed)
    assert comment.conclusion == "success"
    assert "older commit" in comment.summary
    assert proposed.comments(proposed.number) == []


def test_without_room_for_artifacts_nothing_is_half_done(settled):
    """The month's storage of a private plan is used up: red with GitHub's reason, and the same again once there is room."""
    settled.router.disabled = ("doctor.yml", "refresh.yml", "tag.yml")
    settled.repo.storage_full = True
    number = settled.propose("words", edits.appended("params.yaml", "# words\n"))
    settled.settle()
    ci = run(settled, "ci")
    assert ci.jobs["ci / report"] == "failure"
    assert "Artifact storage quota has been hit" in ci.log
    assert "Within noise" in ci.summary or "safe to merge" in ci.summary  # the page is there all the same
    assert not settled.mergeable(number)
    assert "ended before it wrote a report" in run(settled, "comment").summary
    before = settled.aliases(), settled.versions()
    commit = settled.pushed_reproduced(settled.clone(), edits.BETTER)
    settled.settle()
    promote = run(settled, "promote")
    assert promote.jobs["promote / measure"] == "failure"
    assert "Artifact storage quota has been hit" in promote.log
    assert (settled.aliases(), settled.versions()) == before
    settled.repo.storage_full = False
    settled.router.dispatch(settled.repo, "promote.yml")
    assert settled.aliases() == {"staging": commit}
