"""When a run starts, what it waits for, and what it is asked."""

import json
import subprocess

import pytest
from dotgithub import CALLS, GITHUB, JOBS, WORKFLOWS, condition, job, steps
from harness import callers, queues
from harness.template import ROOT

from delivery.core import params

# Group of runs of which one runs at a time, and whether a newer one ends it.
QUEUES = {
    ("alert.yml", ""): ("alert-${{ github.event.workflow_run.name }}", False),
    ("batch.yml", ""): ("batch", False),
    ("bump.yml", ""): ("bump", False),
    ("ci.yml", ""): (
        "ci-${{ github.event.pull_request.number || inputs.results && inputs.number || github.ref }}${{ (github.event.label "
        "&& github.event.label.name != 'compatibility: breaking' || github.event.action == 'edited' "
        "&& !github.event.changes.base) && github.run_id || '' }}",
        "${{ github.event_name == 'pull_request' || inputs.number != 0 }}",
    ),
    ("command.yml", "command"): ("command-${{ github.event.issue.number }}", False),
    ("comment.yml", ""): (
        "comment-${{ github.event.workflow_run.head_repository.full_name || github.repository }}-"
        "${{ github.event.workflow_run.head_branch || inputs.branch || inputs.run }}",
        False,
    ),
    ("compact.yml", ""): ("compact", False),
    ("deploy.yml", "deploy"): ("environment-.-${{ inputs.environment }}", False),
    ("doctor.yml", ""): ("doctor", True),
    ("drift.yml", ""): ("drift", False),
    ("drill.yml", ""): ("drill", False),
    ("pages.yml", ""): ("pages", False),
    ("promote.yml", ""): ("promote-${{ github.ref }}", False),
    ("_promote.yml", "apply"): (
        "environment-${{ inputs.directory }}-${{ needs.measure.outputs.environment }}",
        False,
    ),
    ("refresh.yml", ""): ("refresh-${{ github.ref }}", False),
    ("remake.yml", ""): ("remake", False),
    ("rollback.yml", "unblock"): ("unblock-${{ github.run_id }}", False),
    ("rollback.yml", "rollback"): ("environment-.-${{ inputs.environment }}", False),
    ("scan.yml", ""): ("scan", True),
    ("tag.yml", ""): ("tag", False),
}
# Where a run that waits must not give way to a newer one: each does something else.
LOSES_NONE = {
    ("batch.yml", ""),
    ("comment.yml", ""),
    ("deploy.yml", "deploy"),
    ("drift.yml", ""),
    ("drill.yml", ""),
    ("_promote.yml", "apply"),
    ("rollback.yml", "rollback"),
}
CONDITIONS = {
    (
        "alert.yml",
        "alert",
    ): """${{ contains(fromJSON('["schedule", "workflow_dispatch"]'), github.event.workflow_run.event) """
    "&& github.event.workflow_run.head_branch == github.event.repository.default_branch }}",
    ("_ci.yml", "required"): "failure() || cancelled()",
    ("_ci.yml", "test"): "needs.check.outputs.suites != '[]'",
    (
        "_ci.yml",
        "image",
    ): "${{ !cancelled() && needs.report.result == 'success' && needs.check.outputs.image == 'true' }}",
    (
        "command.yml",
        "command",
    ): "${{ github.event.issue.pull_request && startsWith(github.event.comment.body, '/results') "
    '&& contains(fromJSON(\'["OWNER", "MEMBER", "COLLABORATOR"]\'), github.event.comment.author_association) }}',
    (
        "comment.yml",
        "comment",
    ): "${{ github.event_name == 'workflow_dispatch' || github.event.workflow_run.event == 'pull_request' "
    '&& contains(fromJSON(\'["success", "failure"]\'), github.event.workflow_run.conclusion) }}',
    ("refresh.yml", "refresh"): "${{ !github.event.created }}",
    ("remake.yml", "remake"): "needs.due.outputs.done != 'true'",
    ("ci.yml", "ci"): "${{ (!github.event.label || github.event.label.name == 'compatibility: breaking') "
    "&& (github.event.action != 'edited' || github.event.changes.base) }}",
    ("_promote.yml", "image"): "needs.measure.outputs.delivers == 'true'",
    (
        "_ci.yml",
        "push",
    ): "${{ !cancelled() && needs.report.outputs.stale == 'true' && (github.event_name == 'pull_request' "
    "&& github.event.pull_request.head.repo.full_name == github.repository && github.actor != 'dependabot[bot]' "
    "|| inputs.results && github.ref_name != github.event.repository.default_branch) }}",
    ("_ci.yml", "runner"): "${{ contains(toJSON(github.event.pull_request.labels.*.name), '\"runner:') "
    "&& github.event.pull_request.head.repo.full_name == github.repository && github.actor != 'dependabot[bot]' }}",
    ("_ci.yml", "report"): "${{ !cancelled() && needs.check.outputs.report == 'true' }}",
    ("_ci.yml", "comment"): "${{ !cancelled() && github.event_name == 'workflow_dispatch' && inputs.number != 0 }}",
    ("tag.yml", "tag"): "${{ github.ref_name == github.event.repository.default_branch "
    "&& (github.event_name == 'workflow_dispatch' || github.event.repository.is_template) }}",
}
NEEDS = {
    ("_ci.yml", "required"): ["check", "test", "runner", "report", "image"],
    ("_ci.yml", "test"): "check",
    ("_ci.yml", "report"): ["check", "runner"],
    ("_ci.yml", "image"): ["check", "report"],
    ("_ci.yml", "push"): "report",
    ("_ci.yml", "comment"): ["check", "report"],
    ("pages.yml", "publish"): "build",
    ("_promote.yml", "image"): "measure",
    ("_promote.yml", "apply"): ["measure", "image"],
    ("remake.yml", "remake"): "due",
}
TRIGGERS = {
    "alert.yml": {"workflow_run"},
    "_ci.yml": {"workflow_call"},
    "_comment.yml": {"workflow_call"},
    "_promote.yml": {"workflow_call"},
    "batch.yml": {"schedule", "workflow_dispatch"},
    "bump.yml": {"schedule", "workflow_dispatch"},
    "ci.yml": {"push", "pull_request", "merge_group", "workflow_dispatch"},
    "command.yml": {"issue_comment"},
    "comment.yml": {"workflow_run", "workflow_dispatch"},
    "compact.yml": {"schedule", "workflow_dispatch"},
    "deploy.yml": {"workflow_dispatch"},
    "doctor.yml": {"schedule", "push", "workflow_dispatch"},
    "drift.yml": {"schedule", "workflow_dispatch"},
    "drill.yml": {"schedule", "workflow_dispatch"},
    "pages.yml": {"workflow_dispatch"},
    "promote.yml": {"push", "workflow_dispatch"},
    "refresh.yml": {"push", "workflow_dispatch"},
    "remake.yml": {"schedule", "workflow_dispatch"},
    "rollback.yml": {"workflow_dispatch"},
    "scan.yml": {"schedule", "workflow_dispatch"},
    "tag.yml": {"push", "workflow_dispatch"},
}
CALLED = {
    ("ci.yml", "ci"): "_ci.yml",
    ("comment.yml", "comment"): "_comment.yml",
    ("promote.yml", "promote"): "_promote.yml",
}


def test_every_schedule_is_watched():
    watched = WORKFLOWS["alert.yml"]["on"]["workflow_run"]["workflows"]
    assert watched == sorted(doc["name"] for doc in WORKFLOWS.values() if "schedule" in doc["on"])


def test_every_job_has_a_name_and_a_limit():
    for file, name in JOBS:
        about = job(file, name)
        limit = (
            350 if (file, name) == ("remake.yml", "remake") else 60
        )  # nobody waits at night; GitHub ends it after 360
        assert 0 < about["timeout-minutes"] <= limit, (file, name)
        assert about["name"] in (name, "${{ matrix.suite }}")


def test_triggers_conditions_order_and_queues_are_these():
    assert {file: set(doc["on"]) for file, doc in WORKFLOWS.items()} == TRIGGERS
    assert CALLS == CALLED
    assert {key: condition(*key) for key in [*JOBS, *CALLS] if condition(*key)} == CONDITIONS
    assert {key: job(*key)["needs"] for key in JOBS if "needs" in job(*key)} == NEEDS
    found = {(file, ""): doc["concurrency"] for file, doc in WORKFLOWS.items() if "concurrency" in doc}
    found |= {key: job(*key)["concurrency"] for key in JOBS if "concurrency" in job(*key)}
    assert {key: (queue["group"], queue["cancel-in-progress"]) for key, queue in found.items()} == QUEUES
    assert {key for key, queue in found.items() if queue.get("queue") == "max"} == LOSES_NONE


def test_a_report_compares_with_what_its_commit_is_to_be_merged_into():
    (review,) = [step for step in job("_ci.yml", "report")["steps"] if step.get("id") == "review"]
    base = "format('origin/{0}', github.base_ref || inputs.base || github.event.repository.default_branch)"
    assert review["env"]["BASE"] == f"${{{{ github.event.merge_group.base_sha || {base} }}}}"  # other groups go first


def test_a_workflow_starts_by_an_event_or_by_a_call():
    """So that a called one needs no default for an event, and the one that starts holds queue and filters only."""
    for file, document in WORKFLOWS.items():
        called = document["on"].keys() == {"workflow_call"}
        assert called == file.startswith("_") == (file in CALLS.values()), file
        assert document["name"] == file.removesuffix(".yml")  # `workflow_run` and dispatches go by these names
        assert not called or "concurrency" not in document, (
            "its caller has the queue: with two they wait for each other"
        )
        assert called or "inputs.directory" not in str(document)
    for key, file in CALLS.items():
        assert set(job(*key)) <= {"uses", "if", "permissions", "with", "secrets"}
        assert not callers.inputs_refused(WORKFLOWS[key[0]], key[1], WORKFLOWS[file])


def test_whoever_changes_an_environment_waits_for_the_others():
    """By one name, whichever way each job learns the environment. Writers of the registry redo what another one overtook."""
    writers = ("promote apply", "delivery deploy", "delivery rollback")
    changing = {
        tuple(where.split(": ")) for where, step in steps() if any(verb in step.get("run", "") for verb in writers)
    }
    assert len(changing) == len(writers)
    default = WORKFLOWS["_promote.yml"]["on"]["workflow_call"]["inputs"]["directory"]["default"]
    contexts = {
        "inputs": {"directory": default, "environment": "staging"},
        "needs": {"measure": {"outputs": {"environment": "staging"}}},
    }
    groups = {queues.group(job(*key)["concurrency"], contexts) for key in changing}
    assert groups == {queues.Group("environment-.-staging", cancels=False, most=queues.MOST)}


def test_inputs_have_types_and_words():
    for file, document in WORKFLOWS.items():
        for event in ("workflow_dispatch", "workflow_call"):
            for name, about in ((document["on"].get(event) or {}).get("inputs") or {}).items():
                assert about["type"] in ("string", "choice", "boolean", "number"), (file, name)
                assert about["description"]
                assert len(about["description"].split()) > 1, (file, name)
                assert about.get("required") or "default" in about, "a caller says only what differs"


def test_schedules_are_explained_and_off_the_full_hour():
    page = (ROOT / "docs" / "reference" / "workflows.md").read_text()
    for file, document in WORKFLOWS.items():
        for entry in document["on"].get("schedule", []):
            assert entry["cron"] in page, file
            assert not entry["cron"].startswith("0 ")


def test_every_workflow_has_a_section_in_the_reference():
    page = (ROOT / "docs" / "reference" / "workflows.md").read_text()
    for file in WORKFLOWS.keys() - CALLS.values():
        assert f"\n## {file.removesuffix('.yml')}\n" in page, file


def test_the_rows_of_params_are_the_branches_that_promote_listens_to():
    branches = params.load(ROOT / "params.yaml").promote.branches
    assert list(branches) == WORKFLOWS["promote.yml"]["on"]["push"]["branches"]
    options = {
        option for file in ("deploy.yml", "rollback.yml")
        for option in WORKFLOWS[file]["on"]["workflow_dispatch"]["inputs"]["environment"]["options"]
    }  # fmt: skip
    assert options == {*branches.values(), "production"}


@pytest.mark.parametrize("file", ["main.json", "main-solo.json"])
def test_protection_asks_for_checks_that_exist(file):
    rule = json.loads((GITHUB / "rulesets" / file).read_text())
    checks = next(
        r["parameters"]["required_status_checks"] for r in rule["rules"] if r["type"] == "required_status_checks"
    )
    names = {
        f"{caller} / {job(file, name)['name']}"
        for (event, caller), file in CALLS.items() for name in WORKFLOWS[file]["jobs"]
        if "pull_request" in WORKFLOWS[event]["on"]
    }  # fmt: skip
    assert {check["context"] for check in checks} == {"ci / required"} <= names


def test_a_report_knows_its_pull_request_and_its_base_however_it_was_started():
    ci = WORKFLOWS["ci.yml"]
    types = ["opened", "synchronize", "reopened", "labeled", "unlabeled", "edited"]
    assert ci["on"]["pull_request"]["types"] == types
    given = ci["jobs"]["ci"]["with"]
    assert given["number"] == "${{ github.event.pull_request.number || inputs.number || 0 }}"
    assert given["base"] == "${{ inputs.base }}"
    assert given["results"] == "${{ inputs.results || false }}"
    (review,) = [step for step in job("_ci.yml", "report")["steps"] if step.get("id") == "review"]
    branch = "github.base_ref || inputs.base || github.event.repository.default_branch"
    base = f"${{{{ github.event.merge_group.base_sha || format('origin/{{0}}', {branch}) }}}}"
    assert review["env"]["BASE"] == base


# Jobs that the required check does not wait for: they only follow the report, which decides.
FOLLOWING = {"push", "comment"}


def forgotten(document: dict) -> set[str]:
    """Jobs that the check `required` does not wait for."""
    return document["jobs"].keys() - {"required", *document["jobs"]["required"]["needs"]}


def test_no_job_of_ci_can_be_forgotten():
    assert forgotten(WORKFLOWS["_ci.yml"]) == FOLLOWING
    planted = {"jobs": WORKFLOWS["_ci.yml"]["jobs"] | {"fifth": {"runs-on": "ubuntu-24.04", "steps": []}}}
    assert forgotten(planted) == {"fifth"} | FOLLOWING


@pytest.mark.parametrize("result", ["failure", "cancelled"])
def test_the_required_check_fails_wherever_it_runs(result: str):
    """It runs only where a job has failed or was cancelled (CONDITIONS), and is a success for GitHub where it is skipped."""
    (step,) = job("_ci.yml", "required")["steps"]
    assert step["env"] == {"NEEDS": "${{ toJSON(needs) }}"}
    needs = {"check": {"result": "success", "outputs": {}}, "last": {"result": result, "outputs": {}}}
    command = ["bash", "-e", "-c", step["run"]]
    done = subprocess.run(
        command, env={"NEEDS": json.dumps(needs), "PATH": "/usr/bin:/bin"}, check=False, capture_output=True
    )
    assert done.returncode == 1
    assert b'"last": "%s"' % result.encode() in done.stdout  # which one it was


def test_the_scope_of_a_push_is_what_was_pushed_and_of_others_what_the_report_compares_with():
    (scope,) = [step for step in job("_ci.yml", "check")["steps"] if step.get("id") == "scope"]
    (review,) = [step for step in job("_ci.yml", "report")["steps"] if step.get("id") == "review"]
    pushed = "${{ github.event_name == 'push' && github.event.before || "  # `synchronize` has a `before` as well
    assert scope["env"]["BASE"] == review["env"]["BASE"].replace("${{ ", pushed)
