"""Several things at once: the real triggers, conditions and queues, in GitHub's order, on runs that do nothing."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
import yaml
from dotgithub import GITHUB
from harness import api, expressions, queues, router, rules
from harness.gitserver import git, refs
from harness.hub import Event, Hub, Json, Repo, Token
from harness.plans import PLANS
from harness.router import Router
from harness.runner import Machine, Run
from harness.world import promoted_to

from delivery.adapters import github
from delivery.ci import unblock

NOTHING = Machine(Path(), Path(), Path(), {})


class Office:
    """A repository with the workflows of .github, in which a run takes no time."""

    def __init__(self, folder: Path, github: Path) -> None:
        self.hub = Hub(folder)
        self.repo = self.hub.repository("acme/demo")
        self.router = Router(self.hub, NOTHING, disabled=("doctor.yml", "tag.yml"))
        self.router.needs = promoted_to
        self.done: list[str] = []  # what has run, in order
        self.work = folder / "work"
        git(folder, "clone", "--quiet", self.repo.path, self.work)
        shutil.copytree(github / "workflows", self.work / ".github" / "workflows")
        self.commit("main", "first")

    def commit(self, branch: str, text: str) -> None:
        """A person's push."""
        git(self.work, "checkout", "--quiet", "-B", branch)
        (self.work / f"{branch}.txt").write_text(text)
        git(self.work, "add", "--all")
        git(self.work, "commit", "--quiet", "--message", text)
        before = refs(self.repo.path)
        git(self.work, "push", "--quiet", "--force", "origin", branch)
        self.hub.pushed(self.repo, before, Token("ada", self.repo.name, "person"))

    def propose(self, branch: str) -> int:
        git(self.work, "checkout", "--quiet", "main")
        self.commit(branch, "a change")
        token = Token("ada", self.repo.name, "person")
        return self.hub.open_pull(self.repo, {"head": branch, "base": "main", "title": branch}, token)["number"]

    def asked(self, file: str, branch: str = "main", **inputs: str) -> None:
        """The button, pressed while other things go on."""
        ref = f"refs/heads/{branch}"
        payload = {"inputs": inputs, "ref": ref, "workflow": file, "repository": self.hub.about(self.repo)}
        self.hub.events.append(Event("workflow_dispatch", self.repo.name, ref, self.repo.sha(ref), payload, "ada"))

    def carry_out(self, _hub: Hub, repo: Repo, file: str, event: Event, _machine: Machine, run_id: int,
                  _environments: dict[str, str], only: str = "") -> Run:  # fmt: skip
        """A run in which every job succeeds whose `if` holds; a comment needs a report that got to its end."""
        document = self.router._workflows(repo, event.sha)[file]
        if only == "unblock":
            os.environ["GITHUB_RUN_ID"] = str(run_id)
            unblock.free(event.payload["inputs"]["environment"], "rollback")
        if only:
            return Run(run_id, document["name"], event.name, {}, "", "")
        contexts = self.router._contexts(repo, document, event, repo.runs[run_id])
        conditions = {name: job.get("if", True) for name, job in document["jobs"].items()}
        jobs = {name: "success" if expressions.true(text, contexts) else "skipped" for name, text in conditions.items()}
        if "success" in jobs.values():
            if (file, event.name) != ("ci.yml", "push"):  # what follows a merge has no report
                self.done.append(self.said(file, event, contexts))
            if file == "comment.yml" and not self.reported(event):
                jobs = dict.fromkeys(jobs, "failure")
        return Run(run_id, document["name"], event.name, jobs, "", "")

    def ask(self, method: str, path: str, body: Json | None = None) -> Any:
        """The API, for verbs that run in this process."""
        path, _, query = path.partition("?")
        token = Token("github-actions[bot]", self.repo.name, "job", {"actions": "write"})
        full = f"/repos/{self.repo.name}{path}"
        status, reply, _ = api.answer(self.hub, method, full, dict(parse_qsl(query)), body or {}, token)
        assert status < 300, (method, path, reply)
        return reply

    def reported(self, event: Event) -> bool:
        run = self.repo.runs[event.payload.get("workflow_run", {}).get("id") or int(event.payload["inputs"]["run"])]
        return run["conclusion"] in ("success", "failure")

    def said(self, file: str, event: Event, contexts: Json) -> str:
        about = {"comment.yml": event.payload.get("workflow_run", {}).get("head_branch", ""),
                 "ci.yml": contexts["github"]["head_ref"]}.get(file, contexts["inputs"].get("environment", ""))  # fmt: skip
        return f"{file.removesuffix('.yml')} {about}".strip()

    def results(self) -> list[tuple[str, str]]:
        return [(each.workflow, each.conclusion) for each in self.router.runs]


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Office:
    made = Office(tmp_path, GITHUB)
    monkeypatch.setattr(router, "run", made.carry_out)
    monkeypatch.setattr(github, "ask", made.ask)
    monkeypatch.setenv("GITHUB_RUN_ID", "0")
    made.hub.events.clear()
    return made


def test_reports_that_end_together_are_all_posted(office: Office) -> None:
    branches = ["one", "two", "three", "four"]
    for branch in branches:
        office.propose(branch)
    office.router.settle()
    assert sorted(office.done) == sorted([f"{what} {name}" for what in ("ci", "comment") for name in branches])
    assert {conclusion for _, conclusion in office.results()} == {"success"}


def test_two_reports_of_one_pull_request_are_posted_one_after_the_other(office: Office) -> None:
    office.propose("one")
    office.router.settle()
    (report,) = [run for run in office.router.runs if run.workflow == "ci"]
    for _ in range(3):
        office.asked("comment.yml", run=str(report.id), branch="one")
    for event in office.hub.events:
        office.router.start(event)
    office.hub.events.clear()
    each = office.router.queues[office.repo.name]
    assert [len(entries) for entries in (each.ready, *each.waiting.values()) if entries] == [1, 2]
    office.router.settle()
    assert office.done == ["ci one", "comment one", *["comment"] * 3]


def test_a_push_that_supersedes_another_turns_nothing_red(office: Office) -> None:
    office.propose("one")
    office.commit("one", "another change")
    office.commit("one", "and another")
    office.router.settle()
    assert office.results().count(("ci", "cancelled")) == 2
    assert office.done == ["ci one", "comment one"]  # of the newest commit
    assert {conclusion for _, conclusion in office.results()} == {"success", "cancelled", "skipped"}


@pytest.mark.parametrize(("pushed", "ended"), [(True, ["cancelled", "success"]), (False, ["success", "success"])])
def test_a_report_that_makes_results_again_gives_way_to_a_push_but_not_to_the_checks_of_its_own_commit(
    pushed: bool, ended: list[str], office: Office
) -> None:
    number = office.propose("one")
    office.hub.events.clear()
    office.asked("ci.yml", branch="one", number=str(number), results="true")
    if pushed:
        office.commit("one", "another change")
    else:
        office.asked("ci.yml", branch="one", number=str(number))
    office.router.settle()
    assert [conclusion for workflow, conclusion in office.results() if workflow == "ci"] == ended


def test_a_label_that_means_nothing_cancels_no_report(office: Office) -> None:
    number = office.propose("one")
    office.hub.label(office.repo, number, "bug", Token("ada", office.repo.name, "person"))
    office.router.settle()
    assert office.done == ["ci one", "comment one"]
    assert ("ci", "cancelled") not in office.results()


def test_a_rollback_that_waits_is_not_cancelled_by_what_comes_after_it(office: Office) -> None:
    office.asked("deploy.yml", version="3", environment="production")
    office.asked("rollback.yml", environment="production")
    office.asked("deploy.yml", version="4", environment="production")
    office.asked("deploy.yml", version="5", environment="production")
    office.router.settle()
    assert office.done == ["deploy production", "rollback production", "deploy production", "deploy production"]


def test_a_deployment_that_nobody_approves_holds_up_its_own_environment_only(office: Office) -> None:
    office.repo.reviewers = {"production": ["grace"]}
    office.asked("deploy.yml", version="3", environment="production")
    office.asked("rollback.yml", environment="staging")
    office.asked("drill.yml")
    office.commit("main", "a change")
    office.router.settle()
    assert office.done == ["rollback staging", "drill", "promote"]
    office.router.approve(office.repo, "production")
    assert office.done == ["rollback staging", "drill", "promote", "deploy production"]


def test_a_rollback_does_not_wait_for_the_approval_of_what_was_asked_for_before_it(office: Office) -> None:
    office.repo.reviewers = {"production": ["grace"], "staging": ["grace"]}
    office.asked("deploy.yml", version="3", environment="staging")
    for version in ("3", "4"):
        office.asked("deploy.yml", version=version, environment="production")
    office.asked("rollback.yml", environment="production")
    office.asked("deploy.yml", version="5", environment="production")
    office.router.settle()
    assert office.results() == [("deploy", "cancelled")]
    assert not unblock.free("production", "rollback")  # a few seconds later
    assert office.results() == [("deploy", "cancelled")] * 2
    assert unblock.free("production", "rollback")  # its own approval is all that it waits for
    office.router.approve(office.repo, "production")
    assert office.results()[2:] == [("rollback", "success")]
    office.router.approve(office.repo, "production")
    assert office.results()[3:] == [("deploy", "success")]
    office.router.approve(office.repo, "staging")
    assert office.results()[4:] == [("deploy", "success")]


def test_where_the_plan_has_no_reviewers_nothing_waits_for_them(office: Office) -> None:
    office.repo.plan = PLANS["team"]
    office.repo.reviewers = {"production": ["grace"]}
    office.asked("deploy.yml", version="3", environment="production")
    office.router.settle()
    assert office.done == ["deploy production"]


def test_a_promotion_and_a_deployment_to_the_same_environment_wait_for_each_other(office: Office) -> None:
    office.repo.reviewers = {"staging": ["grace"]}
    office.asked("deploy.yml", version="3", environment="staging")
    office.commit("main", "a change")
    office.router.settle()
    each = office.router.queues[office.repo.name]
    assert [entry.file for entry in each.held_back] == ["deploy.yml"]
    assert [entry.file for entry in each.waiting["environment-.-staging"]] == ["promote.yml"]


@pytest.mark.parametrize("file", ["batch.yml", "drift.yml", "drill.yml"])
def test_what_is_asked_for_several_periods_or_environments_is_all_done(office: Office, file: str) -> None:
    name = "environment" if file == "drill.yml" else "period"
    for value in ("2013-01", "2013-02", "2013-03"):
        office.asked(file, **{name: value})
    office.router.settle()
    assert office.results() == [(file.removesuffix(".yml"), "success")] * 3


# GitHub's own rules, on workflows made up for them


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Runs of a made-up workflow that start together, told apart by their input `n`; returns how each ended."""

    def play(count: int, text: str, **reviewers: list[str]) -> list[str]:
        github = tmp_path / "github"
        (github / "workflows").mkdir(parents=True)
        document = yaml.safe_load(text) | {"name": "w", "on": {"workflow_dispatch": {"inputs": {"n": {"default": ""}}}}}
        (github / "workflows" / "w.yml").write_text(yaml.safe_dump(document))
        made = Office(tmp_path, github)
        monkeypatch.setattr(router, "run", made.carry_out)
        made.hub.events.clear()
        made.repo.reviewers = reviewers
        for number in range(count):
            made.asked("w.yml", n=str(number))
        made.router.settle()
        runs = {each.id: each.conclusion for each in made.router.runs}
        return [runs.get(ident, "waiting") for ident in sorted(made.repo.runs)]

    return play


JOB = "jobs: {a: {runs-on: x, steps: []}}\n"


def test_one_runs_one_waits_and_the_older_waiting_one_is_cancelled(scene) -> None:
    assert scene(4, f"concurrency: g\n{JOB}") == ["success", "cancelled", "cancelled", "success"]


def test_the_newest_cancels_the_one_in_progress(scene) -> None:
    text = f"concurrency: {{group: g, cancel-in-progress: true}}\n{JOB}"
    assert scene(3, text) == ["cancelled", "cancelled", "success"]


def test_with_the_long_queue_a_hundred_wait_and_no_more(scene) -> None:
    text = f"concurrency: {{group: g, queue: max}}\n{JOB}"
    assert scene(103, text) == ["success"] * 101 + ["cancelled"] * 2


def test_a_run_whose_only_job_is_skipped_is_in_its_workflows_group(scene) -> None:
    text = "concurrency: g\njobs: {a: {if: \"inputs.n != '2'\", runs-on: x, steps: []}}\n"
    assert scene(3, text) == ["success", "cancelled", "skipped"]


def test_a_skipped_job_is_not_in_its_own_group(scene) -> None:
    text = "jobs: {a: {if: \"inputs.n != '2'\", concurrency: g, runs-on: x, steps: []}}\n"
    assert scene(3, text) == ["success", "success", "skipped"]


def test_a_job_that_waits_for_approval_holds_its_group(scene) -> None:
    text = "jobs: {a: {environment: prod, concurrency: g, runs-on: x, steps: []}}\n"
    assert scene(3, text, prod=["ada"]) == ["waiting", "cancelled", "waiting"]


def test_a_group_has_the_same_name_whatever_its_case() -> None:
    named = [queues.group(f"${{{{ github.ref }}}}-{end}", {"github": {"ref": "refs/heads/Main"}}) for end in "aA"]
    assert len(set(named)) == 1
    with pytest.raises(AssertionError, match="only where nothing in progress is cancelled"):
        queues.group({"group": "g", "cancel-in-progress": True, "queue": "max"}, {})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("github.ref || 'none'", "main"),
        ("github.absent.deeper || 'none'", "none"),
        ("!github.event.label && 1 == '1'", True),
        ("contains(fromJSON('[\"success\", \"failure\"]'), 'SUCCESS')", True),
        ("contains(toJSON(github.labels.*.name), '\"runner:')", True),
        ("format('{0}-{1}', github.ref, 7)", "main-7"),
        ("github.event_name == 'push' && ('a' == 'b' || 'it''s')", "it's"),
        ("null == 0 && 'x' != 1", True),
        ("github.labels[1].name", "runner:gpu"),
    ],
)
def test_expressions_are_githubs(text: str, value: object) -> None:
    github = {"ref": "main", "event_name": "push", "event": {}, "labels": [{"name": "bug"}, {"name": "runner:gpu"}]}
    assert expressions.value(text, {"github": github}) == value
    assert expressions.true(f"${{{{ {text} }}}}", {"github": github})


def test_every_condition_and_group_of_ours_can_be_read() -> None:
    contexts: Json = {"github": {"event": {}}, "inputs": {}, "needs": {}, "vars": {}}
    for path in (GITHUB / "workflows").glob("*.yml"):
        document = rules.load(path.read_text())
        for part in [document, *document["jobs"].values()]:
            if "concurrency" in part:
                queues.group(part["concurrency"], contexts)
            expressions.true(part.get("if", True), contexts)
