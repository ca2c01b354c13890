"""Pull requests: what their author and reviewer see, on the real ci, report and comment workflows."""

import edits
import pytest
from harness.gitserver import git
from harness.world import run


@pytest.fixture
def quiet(settled):
    """Without ci, which has a scenario of its own."""
    settled.router.disabled = ("ci.yml",)
    return settled


def placed(there) -> str:
    """The summary of the newest report that a pull request's labels have placed."""
    return [one.summary for one in there.router.runs if one.jobs.get("report / runner") == "success"][-1]


def test_an_improvement_gets_its_results_committed_and_says_so(quiet):
    number = quiet.propose("slower", edits.BETTER)
    first = quiet.head(number)
    quiet.settle()

    assert quiet.checks(first)["report / report"] == "failure"  # dvc.lock was not what the params give
    assert quiet.head(number) != first
    pushed = quiet.repo.file("slower", "dvc.lock")
    assert "learning_rate: 0.05" in pushed
    assert quiet.checks(quiet.head(number))["report / report"] == "success"  # started by dispatch, on the bot's commit
    (comment,) = quiet.comments(number)
    assert quiet.head(number)[:8] in comment
    assert "better" in comment
    assert "safe to merge" in comment
    assert "parameter `train.learning_rate`: 0.5 → 0.05" in comment
    assert f"{quiet.hub.url}/acme/demo/blob/" in comment  # the plots, from the store
    assert any(path.startswith("plots/") for path in quiet.stored())
    assert quiet.router.held  # the bot's own push started nothing, as on GitHub

    head = quiet.head(number)
    quiet.router.dispatch(quiet.repo, "report.yml", ref="slower", number=str(number))  # all of it again
    assert (quiet.head(number), len(quiet.comments(number))) == (head, 1)


def test_with_an_apps_token_the_committed_results_start_their_checks_themselves(quiet):
    quiet.repo.variables["APP_CLIENT_ID"] = "Iv1.robot"
    quiet.repo.secrets["APP_PRIVATE_KEY"] = quiet.hub.token("robot[bot]", quiet.repo.name, "app")
    number = quiet.propose("slower", edits.BETTER)
    first = quiet.head(number)
    quiet.settle()
    assert quiet.head(number) != first
    assert quiet.checks(quiet.head(number))["report / report"] == "success"
    assert [each.event for each in quiet.router.runs if each.workflow == "report"] == ["pull_request", "pull_request"]
    (comment,) = quiet.comments(number)
    assert quiet.head(number)[:8] in comment


def test_a_worse_model_cannot_be_merged(quiet):
    number = quiet.propose("eager", edits.WORSE)
    quiet.settle()
    (comment,) = quiet.comments(number)
    assert "do not merge" in comment
    assert quiet.checks(quiet.head(number))["report / report"] == "failure"
    assert not quiet.mergeable(number)


def test_a_difference_within_noise_is_called_that_and_a_second_push_updates_the_comment(quiet):
    quiet.repo.variables["RUNNERS"] = "gpu"
    number = quiet.propose("leaf", edits.SAME)
    labels = quiet.repo.pulls[number]["labels"]
    labels += [{"name": "bug"}, {"name": "runner:huge"}]
    quiet.settle()
    assert "runs on ubuntu-latest; `runner:huge` is ignored" in placed(quiet)
    (comment,) = quiet.comments(number)
    assert "within noise" in comment
    folder = quiet.clone()
    git(folder, "checkout", "--quiet", "leaf")
    edits.written("NOTES.md", "why")(folder)
    second = quiet.push(folder, "Say why", "leaf")
    labels.append({"name": "runner:gpu"})
    quiet.repo.runners.append("gpu")  # a machine that takes jobs with this label
    quiet.settle()
    assert "runs on self-hosted gpu; `runner:huge` is ignored" in placed(quiet)
    (comment,) = quiet.comments(number)
    assert second[:8] in comment
    assert quiet.checks(second)["report / report"] == "success"


def test_a_lock_that_somebody_made_up_cannot_pass(quiet):
    def edit(folder):
        lock = (folder / "dvc.lock").read_text().splitlines()
        at = next(
            n
            for n, line in enumerate(lock)
            if line.strip() == "- path: artifacts/train" and "outs" in "".join(lock[n - 2 : n])
        )
        lock[at + 2] = "      md5: " + "0" * 32 + ".dir"
        (folder / "dvc.lock").write_text("\n".join(lock) + "\n")

    number = quiet.propose("made-up", edit)
    first = quiet.head(number)
    quiet.settle()
    assert quiet.checks(first)["report / report"] == "failure"
    assert "dvc.lock" in quiet.comments(number)[0] or quiet.head(number) != first


def test_a_broken_schema_stops_everything_and_names_the_column(quiet):
    number = quiet.propose("no-lga", edits.BROKEN_SCHEMA)
    quiet.settle()
    (comment,) = quiet.comments(number)
    assert "The pipeline stopped" in comment
    assert "flights.origin" in comment
    assert "LGA" in comment
    assert not quiet.mergeable(number)
    assert "pipeline stopped" in run(quiet, "report").summary


def test_a_fork_is_told_what_to_run(quiet):
    quiet.repo.variables["RUNNERS"] = "gpu"
    number = quiet.propose("leaf", edits.SAME, login="grace", fork=True)
    quiet.repo.pulls[number]["labels"].append({"name": "runner:gpu"})  # there is no such machine: it would be red
    before = quiet.repo.files("store")
    quiet.settle()
    (comment,) = quiet.comments(number)
    assert "delivery reproduce" in comment
    assert "dvc.lock" in comment
    assert "within noise" in comment
    assert not quiet.mergeable(number)
    assert "by CML" in run(quiet, "comment").summary
    report = run(quiet, "report")
    assert report.jobs == {
        "report / runner": "skipped", "report / report": "failure", "report / push": "skipped", "report / comment": "skipped"
    }  # fmt: skip
    assert "delivery reproduce" in report.summary
    assert {path for path in quiet.stored() if not path.startswith("plots/")} == set(before)


def test_every_check_of_a_small_change_is_green_and_it_can_be_merged(settled):
    number = settled.propose("words", edits.written("NOTES.md", "words"), login="grace", fork=True)
    settled.settle()
    assert settled.mergeable(number)
    ci = run(settled, "ci")
    assert set(ci.jobs.values()) == {"success"}
    assert "**✅ unit**: 1 tests, 0 failed" in ci.summary
    assert len(settled.comments(number)) == 1


def test_a_failing_suite_shows_in_the_summary_and_blocks(settled):
    settled.router.disabled = ("report.yml", "comment.yml")
    test = edits.written("tests/unit/test_unit.py", "def test_sum():\n    assert 1 + 1 == 3\n")
    number = settled.propose("sum", test)
    settled.settle()
    assert not settled.mergeable(number)
    ci = run(settled, "ci")
    assert (ci.jobs["ci / test"], ci.jobs["ci / lint"], ci.jobs["ci / required"]) == ("failure", "success", "failure")
    assert "test_sum" in ci.summary
