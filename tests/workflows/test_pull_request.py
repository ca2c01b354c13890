"""Pull requests: what their author and reviewer see, on the real ci, report and comment workflows."""

import edits
from harness.gitserver import git
from harness.hub import Token
from harness.world import run

DECIDED = ("check", "test", "report", "image", "required")


def decided(there) -> dict[str, str]:
    """How the jobs of the newest run of ci ended that decide about a pull request."""
    return {name: run(there, "ci").jobs[f"ci / {name}"] for name in DECIDED}


def placed(there) -> str:
    """The summary of the newest report that a pull request's labels have placed."""
    return [one.summary for one in there.router.runs if one.jobs.get("ci / runner") == "success"][-1]


def test_an_improvement_gets_its_results_committed_and_says_so(settled):
    number = settled.propose("slower", edits.BETTER)
    first = settled.head(number)
    settled.settle()

    assert settled.checks(first)["ci / report"] == "failure"  # dvc.lock was not what the params give
    assert settled.head(number) != first
    pushed = settled.repo.file("slower", "dvc.lock")
    assert "learning_rate: 0.05" in pushed
    assert settled.checks(settled.head(number))["ci / report"] == "success"  # started by dispatch, on the bot's commit
    (comment,) = settled.comments(number)
    assert settled.head(number)[:8] in comment
    assert "better" in comment
    assert "safe to merge" in comment
    assert "parameter `train.learning_rate`: 0.5 → 0.05" in comment
    assert f"{settled.hub.url}/acme/demo/blob/" in comment  # the plots, from the store
    assert any(path.startswith("plots/") for path in settled.stored())
    assert settled.router.held  # the bot's own push started nothing, as on GitHub
    assert settled.mergeable(number)
    assert decided(settled) == dict(zip(DECIDED, ["success", "skipped", "success", "success", "skipped"], strict=True))
    summary = run(settled, "ci").summary
    assert "**✅ artifacts**" in summary
    assert "integration**" not in summary  # tests the machinery

    head = settled.head(number)
    settled.router.dispatch(settled.repo, "ci.yml", ref="slower", number=str(number))  # all of it again
    assert (settled.head(number), len(settled.comments(number))) == (head, 1)


def test_a_pull_request_is_judged_against_its_own_base_also_on_dispatch_and_after_it_changes(settled):
    settled.router.disabled = ("promote.yml",)
    main = settled.repo.sha("main")
    develop = settled.pushed_reproduced(settled.clone(), edits.SAME, "develop")
    settled.hub.events.clear()
    token = Token("ada", settled.repo.name, "person")
    number = settled.propose("slower", edits.BETTER, base="develop")
    first = settled.head(number)
    settled.settle()

    assert settled.head(number) != first  # the results, and a dispatched report of them
    events = [each.event for each in settled.router.runs if each.workflow == "ci"]
    assert events == ["pull_request", "workflow_dispatch"]
    (comment,) = settled.comments(number)
    assert settled.head(number)[:8] in comment
    assert f"Against `{develop[:8]}`" in comment

    settled.hub.retitle(settled.repo, number, "Another title", token)
    settled.settle()
    assert run(settled, "ci").conclusion == "skipped"
    assert settled.comments(number) == [comment]

    settled.hub.retarget(settled.repo, number, "main", token)
    settled.settle()
    assert run(settled, "ci").conclusion == "success"
    (comment,) = settled.comments(number)
    assert f"Against `{main[:8]}`" in comment


def test_with_an_apps_token_the_committed_results_start_their_checks_themselves(settled):
    settled.repo.variables["APP_CLIENT_ID"] = "Iv1.robot"
    key = settled.hub.token("robot[bot]", settled.repo.name, "app")
    settled.repo.environment_secrets["bot"] = {"APP_PRIVATE_KEY": key}
    number = settled.propose("slower", edits.BETTER)
    first = settled.head(number)
    settled.settle()
    assert settled.head(number) != first
    assert settled.checks(settled.head(number))["ci / report"] == "success"
    assert [each.event for each in settled.router.runs if each.workflow == "ci"] == ["pull_request", "pull_request"]
    (comment,) = settled.comments(number)
    assert settled.head(number)[:8] in comment


def test_a_worse_model_cannot_be_merged(settled):
    number = settled.propose("eager", edits.WORSE)
    settled.settle()
    (comment,) = settled.comments(number)
    assert "do not merge" in comment
    assert "what judges it" not in comment, "it changes the model alone"
    assert settled.checks(settled.head(number))["ci / report"] == "failure"
    assert not settled.mergeable(number)


def test_a_difference_within_noise_is_called_that_and_a_second_push_updates_the_comment(settled):
    settled.repo.variables["RUNNERS"] = "gpu"
    number = settled.propose("leaf", edits.SAME)
    labels = settled.repo.pulls[number]["labels"]
    labels += [{"name": "bug"}, {"name": "runner:huge"}]
    settled.settle()
    assert "runs on ubuntu-24.04; `runner:huge` is ignored" in placed(settled)
    (comment,) = settled.comments(number)
    assert "within noise" in comment
    folder = settled.clone()
    git(folder, "checkout", "--quiet", "leaf")
    edits.written("NOTES.md", "why")(folder)
    second = settled.push(folder, "Say why", "leaf")
    labels.append({"name": "runner:gpu"})
    settled.repo.runners.append("gpu")  # a machine that takes jobs with this label
    settled.settle()
    assert "runs on self-hosted gpu; `runner:huge` is ignored" in placed(settled)
    (comment,) = settled.comments(number)
    assert second[:8] in comment
    assert settled.checks(second)["ci / report"] == "success"


def test_a_label_with_a_reason_accepts_a_break_with_clients(settled):
    reason = "all clients send fewer rows since May"
    number = settled.propose("fewer", edits.FEWER_ROWS)
    settled.settle()
    assert settled.checks(settled.head(number))["ci / report"] == "failure"
    assert "max_rows: limit (breaks clients)" in settled.comments(number)[0]

    settled.repo.pulls[number]["body"] = f"Fewer rows.\r\n\r\ncompatibility_reason: {reason}\r\n"
    settled.label(number, "bug")  # starts nothing, so the report stays red and the comment as it is
    settled.settle()
    assert settled.checks(settled.head(number))["ci / report"] == "failure"
    settled.label(number, "compatibility: breaking")
    settled.settle()
    assert settled.checks(settled.head(number))["ci / report"] == "success"
    (comment,) = settled.comments(number)
    assert f"Accepted by the label of the pull request: {reason}" in comment
    assert "No label" not in comment
    assert run(settled, "comment").conclusion == "success"

    commit = settled.merge(number)
    settled.settle()
    assert settled.aliases()["staging"] == commit
    assert settled.tags(commit)["compatibility.boundary"] == reason


def test_a_lock_that_somebody_made_up_cannot_pass(settled):
    def edit(folder):
        lock = (folder / "dvc.lock").read_text().splitlines()
        at = next(
            n
            for n, line in enumerate(lock)
            if line.strip() == "- path: artifacts/train" and "outs" in "".join(lock[n - 2 : n])
        )
        lock[at + 2] = "      md5: " + "0" * 32 + ".dir"
        (folder / "dvc.lock").write_text("\n".join(lock) + "\n")

    number = settled.propose("made-up", edit)
    first = settled.head(number)
    settled.settle()
    assert settled.checks(first)["ci / report"] == "failure"
    assert "dvc.lock" in settled.comments(number)[0] or settled.head(number) != first


def test_a_broken_schema_stops_everything_and_names_the_column(settled):
    number = settled.propose("no-lga", edits.BROKEN_SCHEMA)
    settled.settle()
    (comment,) = settled.comments(number)
    assert "The pipeline stopped" in comment
    assert "flights.origin" in comment
    assert "LGA" in comment
    assert not settled.mergeable(number)
    assert "pipeline stopped" in run(settled, "ci").summary


def test_a_fork_is_told_what_to_run(settled):
    settled.repo.variables["RUNNERS"] = "gpu"
    number = settled.propose("leaf", edits.both(edits.SAME, edits.params(margin=0.29)), login="grace", fork=True)
    settled.repo.pulls[number]["labels"].append({"name": "runner:gpu"})  # there is no such machine: it would be red
    before = settled.repo.files("store")
    settled.settle()
    (comment,) = settled.comments(number)
    assert comment.split("\n\n")[1].startswith(
        "**⚠️ This pull request changes what judges it:** `gate.margin` `0.3` → `0.29`. "
    )
    assert "delivery reproduce" in comment
    assert "Or ask a maintainer to write the comment `/results`." in comment
    assert "dvc.lock" in comment
    assert "within noise" in comment
    assert not settled.mergeable(number)
    assert "by CML" in run(settled, "comment").summary
    report = run(settled, "ci")
    assert report.jobs == {
        "ci / check": "success", "ci / test": "skipped", "ci / runner": "skipped", "ci / report": "failure",
        "ci / image": "skipped", "ci / required": "failure", "ci / push": "skipped", "ci / comment": "skipped",
    }  # fmt: skip
    assert "delivery reproduce" in report.summary
    assert {path for path in settled.stored() if not path.startswith("plots/")} == set(before)


def test_a_change_of_documentation_costs_one_job_and_one_line(settled):
    number = settled.propose("words", edits.written("NOTES.md", "words"), login="grace", fork=True)
    settled.settle()
    assert settled.mergeable(number)
    ci = run(settled, "ci")
    assert {job for job, result in ci.jobs.items() if result != "skipped"} == {"ci / check"}
    assert ci.conclusion == "success"
    (comment,) = settled.comments(number)
    line, *rest = comment.split("\n\n")
    assert line.endswith("Only documentation changed: no model was built or judged.")
    assert len(rest) == 1, "CML's watermark"


def test_a_failing_suite_shows_in_the_summary_and_blocks(settled):
    settled.router.disabled = ("comment.yml",)
    test = edits.written("tests/unit/test_unit.py", "def test_sum():\n    assert 1 + 1 == 3\n")
    number = settled.propose("sum", test)
    settled.settle()
    assert not settled.mergeable(number)
    assert decided(settled) == dict(zip(DECIDED, ["success", "failure", "success", "success", "failure"], strict=True))
    assert "test_sum" in run(settled, "ci").summary


def test_a_merge_queue_gets_the_required_checks_of_the_commit_that_it_would_merge(settled):
    number = settled.propose("machinery", edits.written("tests/unit/test_more.py", "def test_more():\n    pass\n"))
    settled.hub.events.clear()  # the pull request's own checks have scenarios of their own
    group = settled.hub.queue(settled.repo, number, "ada")
    settled.settle()
    started = [(one.workflow, one.event) for one in settled.router.runs if one.workflow != "comment"]
    assert started == [("ci", "merge_group")]
    assert decided(settled) == dict(zip(DECIDED, ["success"] * 4 + ["skipped"], strict=True))
    assert settled.checks(group)["ci / required"] == "skipped"  # which GitHub counts as a success
    summary = run(settled, "ci").summary
    for suite, count in (("unit", 3), ("deploy", 1), ("artifacts", 1), ("integration", 1)):
        assert f"**✅ {suite}**: {count} tests, 0 failed" in summary
    assert settled.comments(number) == []
