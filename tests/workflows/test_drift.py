"""A retraining pull request that is open: brought up to date, closed, left alone, or not to be had."""

import copy

import edits
import pytest
from harness.gitserver import git, refs
from harness.world import World, run, world

BRANCH = "retrain/2013-04"

pytestmark = pytest.mark.xdist_group("drift")  # one pull request is enough for all of them


@pytest.fixture(scope="module")
def once_proposed(tmp_path_factory, settled_origin, machine, certificate):
    """April has other delays, and a pull request with a model that knows them is open."""
    with world(tmp_path_factory.mktemp("drift") / "hub", settled_origin, machine, certificate) as made:
        made.router.disabled = ("ci.yml", "doctor.yml", "promote.yml", "comment.yml")
        made.pushed_reproduced(made.clone(), edits.SHIFTED_SOURCE)
        made.router.dispatch(made.repo, "drift.yml", period="2013-04")
        yield made


@pytest.fixture
def proposed(once_proposed: World):
    """For each test as it was for the first."""
    repo = once_proposed.repo
    branches, records = refs(repo.path), copy.deepcopy((repo.pulls, repo.comments))
    yield once_proposed
    for ref in refs(repo.path).keys() | branches.keys():
        git(repo.path, "update-ref", *((ref, branches[ref]) if ref in branches else ("-d", ref)))
    repo.pulls, repo.comments = records
    once_proposed.hub.events.clear()


def check_again(there: World):
    there.hub.events.clear()
    there.router.dispatch(there.repo, "drift.yml", period="2013-04")
    return run(there, "drift")


def started(there: World) -> list[str]:
    """What has been dispatched so far; these workflows are switched off here."""
    return [path.split("/")[-2] for method, path, *_ in there.hub.calls if path.endswith("/dispatches")]


def test_one_pull_request_by_cml_and_its_commit_is_known_again(once_proposed):
    (pull,) = once_proposed.repo.pulls.values()
    assert (pull["head"]["ref"], pull["title"]) == (BRANCH, "Retrain with 2013-04")
    assert "is opened by CML" in run(once_proposed, "drift").summary
    assert (
        git(once_proposed.repo.path, "log", "-1", "--format=%an %cn", BRANCH)
        == "github-actions[bot] github-actions[bot]"
    )


def test_what_no_longer_holds_is_closed_with_the_reason(proposed):
    (pull,) = proposed.repo.pulls.values()
    folder = proposed.clone()
    edits.params(min_gain=9.0)(folder)
    proposed.push(folder, "Ask for more")
    assert check_again(proposed).conclusion == "success"
    assert proposed.decisions()[-1] == ("2013-04", "no")
    assert pull["state"] == "closed"
    (comment,) = proposed.comments(pull["number"])
    assert "The check of 2013-04 no longer asks for this: a challenger gains +" in comment
    assert "less than drift.min_gain 9.0" in comment
    edits.params(min_gain=0.003)(folder)
    proposed.push(folder, "Ask for less")
    check_again(proposed)
    assert f"#{pull['number']} was closed without being merged; reopen it there" in run(proposed, "drift").summary
    assert len(proposed.repo.pulls) == 1


def test_what_somebody_pushed_to_is_left_to_them(proposed):
    (pull,) = proposed.repo.pulls.values()
    folder = proposed.clone()
    git(folder, "checkout", "--quiet", BRANCH)
    edits.written("NOTES.md", "mine now")(folder)
    theirs = proposed.push(folder, "Mine now", BRANCH)
    body = pull["body"]
    git(folder, "checkout", "--quiet", "main")
    proposed.pushed_reproduced(folder, edits.params(l2_regularization=0.2))
    for _ in range(2):
        check_again(proposed)
    assert proposed.repo.sha(BRANCH) == theirs
    assert (pull["state"], pull["body"]) == ("open", body)
    (comment,) = proposed.comments(pull["number"])  # once, however often it is checked
    assert "This branch has commits by Ada, so nothing is changed here" in comment
    assert "It conflicts with `main`" in comment
    assert len(proposed.repo.pulls) == 1


def test_one_that_conflicts_is_made_again_on_the_new_main_and_a_rerun_starts_the_checks_that_failed(proposed):
    (pull,) = proposed.repo.pulls.values()
    first, before = pull["head"]["sha"], started(proposed)
    commit = proposed.pushed_reproduced(proposed.clone(), edits.params(l2_regularization=0.1))
    assert proposed.hub.merged(proposed.repo, pull) is None
    proposed.hub.fail("POST", "/actions/workflows/ci.yml/dispatches", 403)
    assert check_again(proposed).conclusion == "failure"
    assert "GitHub refused POST" in run(proposed, "drift").summary
    head = pull["head"]["sha"]
    assert head != first
    assert proposed.hub.merged(proposed.repo, pull)
    assert git(proposed.repo.path, "rev-parse", f"{BRANCH}^") == commit
    assert "l2_regularization: 0.1" in proposed.repo.file(BRANCH, "params.yaml")
    assert started(proposed) == before
    assert check_again(proposed).conclusion == "success"
    assert (pull["head"]["sha"], started(proposed)) == (head, [*before, "ci.yml"])
    assert f"#{pull['number']} is up to date" in run(proposed, "drift").summary
    assert len(proposed.repo.pulls) == 1


def test_a_broken_schema_is_red_and_opens_nothing(proposed):
    (pull,) = proposed.repo.pulls.values()
    before = copy.deepcopy(pull)
    proposed.pushed_reproduced(proposed.clone(), edits.RENAMED_SOURCE)
    log = proposed.decisions()
    drift = check_again(proposed)
    assert drift.conclusion == "failure"
    assert "flights.carrier: not_nullable" in drift.summary
    assert "if the source has renamed it to airline, rename it in class Flight" in drift.summary
    assert proposed.decisions() == log
    assert proposed.repo.pulls == {pull["number"]: before}


def test_where_actions_may_not_open_one_the_click_is_named_and_nothing_is_lost(proposed):
    proposed.repo.pulls.clear()
    git(proposed.repo.path, "update-ref", "-d", f"refs/heads/{BRANCH}")
    proposed.repo.may_open_pulls = False
    drift = check_again(proposed)
    proposed.repo.may_open_pulls = True
    assert drift.conclusion == "failure"
    assert "tick `Allow GitHub Actions to create and approve pull requests`" in drift.summary
    assert proposed.repo.pulls == {}
    assert proposed.repo.sha(BRANCH)
    assert check_again(proposed).conclusion == "success"  # after the click
    (pull,) = proposed.repo.pulls.values()
    assert pull["head"]["ref"] == BRANCH
    assert "its branch existed" in run(proposed, "drift").summary


def test_with_an_apps_token_the_pull_request_starts_its_checks_itself(proposed):
    proposed.repo.pulls.clear()
    git(proposed.repo.path, "update-ref", "-d", f"refs/heads/{BRANCH}")
    proposed.repo.variables["APP_CLIENT_ID"] = "Iv1.robot"
    key = proposed.hub.token("robot[bot]", proposed.repo.name, "app")
    proposed.repo.environment_secrets["bot"] = {"APP_PRIVATE_KEY": key}
    disabled, proposed.router.disabled = proposed.router.disabled, ("promote.yml", "doctor.yml")
    held = len(proposed.router.held)
    check_again(proposed)
    proposed.router.disabled = disabled
    proposed.repo.variables.clear()
    proposed.repo.environment_secrets.clear()
    (pull,) = proposed.repo.pulls.values()
    assert pull["user"]["login"] == "robot[bot]"
    assert proposed.checks(pull["head"]["sha"])["ci / report"] == "success"
    assert run(proposed, "ci").event == "pull_request"  # not dispatched
    assert [event for event in proposed.router.held[held:] if event.name == "pull_request"] == []
    (comment,) = proposed.comments(pull["number"])
    assert pull["head"]["sha"][:8] in comment
