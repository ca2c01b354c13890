"""When a run starts, what it waits for, and what it is asked."""

import json
import subprocess

import pytest
from dotgithub import CALLS, GITHUB, JOBS, WORKFLOWS, condition, job, steps
from harness import callers
from harness.template import ROOT

from delivery.core import params

# Group of runs of which one runs at a time, and whether a newer one ends it.
QUEUES = {
    ("batch.yml", ""): ("batch", False),
    ("ci.yml", ""): ("ci-${{ github.ref }}", "${{ github.event_name == 'pull_request' }}"),
    ("comment.yml", ""): ("comment", False),
    ("deploy.yml", "deploy"): ("registry-.", False),
    ("doctor.yml", ""): ("doctor", True),
    ("drift.yml", ""): ("drift", False),
    ("pages.yml", ""): ("pages", False),
    ("promote.yml", ""): ("promote-${{ github.ref }}", False),
    ("_promote.yml", "apply"): ("registry-${{ inputs.directory }}", False),
    ("report.yml", ""): ("report-${{ github.event.pull_request.number || github.ref }}", True),
    ("rollback.yml", "rollback"): ("registry-.", False),
    ("tag.yml", ""): ("tag", False),
}
CONDITIONS = {
    ("_ci.yml", "required"): "always()",
    (
        "comment.yml",
        "comment",
    ): "github.event_name == 'workflow_dispatch' || github.event.workflow_run.event == 'pull_request'",
    (
        "_report.yml",
        "push",
    ): "${{ !cancelled() && needs.report.outputs.stale == 'true' && github.event_name == 'pull_request' "
    "&& github.event.pull_request.head.repo.full_name == github.repository && github.actor != 'dependabot[bot]' }}",
    ("_report.yml", "runner"): "${{ contains(toJSON(github.event.pull_request.labels.*.name), '\"runner:') "
    "&& github.event.pull_request.head.repo.full_name == github.repository && github.actor != 'dependabot[bot]' }}",
    ("_report.yml", "report"): "${{ !cancelled() }}",
    ("_report.yml", "comment"): "${{ !cancelled() && github.event_name == 'workflow_dispatch' && inputs.number != 0 }}",
    ("tag.yml", "tag"): "${{ github.ref_name == github.event.repository.default_branch "
    "&& (github.event_name == 'workflow_dispatch' || github.event.repository.is_template) }}",
}
NEEDS = {
    ("_ci.yml", "required"): ["lint", "test", "model", "image"],
    ("pages.yml", "publish"): "build",
    ("_promote.yml", "image"): "measure",
    ("_promote.yml", "apply"): ["measure", "image"],
    ("_report.yml", "report"): "runner",
    ("_report.yml", "push"): "report",
    ("_report.yml", "comment"): "report",
}
TRIGGERS = {
    "_ci.yml": {"workflow_call"},
    "_comment.yml": {"workflow_call"},
    "_promote.yml": {"workflow_call"},
    "_report.yml": {"workflow_call"},
    "batch.yml": {"schedule", "workflow_dispatch"},
    "ci.yml": {"push", "pull_request", "workflow_dispatch"},
    "comment.yml": {"workflow_run", "workflow_dispatch"},
    "deploy.yml": {"workflow_dispatch"},
    "doctor.yml": {"push", "workflow_dispatch"},
    "drift.yml": {"schedule", "workflow_dispatch"},
    "pages.yml": {"workflow_dispatch"},
    "promote.yml": {"push", "workflow_dispatch"},
    "report.yml": {"pull_request", "workflow_dispatch"},
    "rollback.yml": {"workflow_dispatch"},
    "tag.yml": {"push", "workflow_dispatch"},
}
CALLED = {
    ("ci.yml", "ci"): "_ci.yml",
    ("comment.yml", "comment"): "_comment.yml",
    ("promote.yml", "promote"): "_promote.yml",
    ("report.yml", "report"): "_report.yml",
}


def test_every_job_has_a_name_and_a_limit():
    for file, name in JOBS:
        about = job(file, name)
        assert 0 < about["timeout-minutes"] <= 60, (file, name)
        assert about["name"] in (name, "${{ matrix.suite }}")


def test_triggers_conditions_order_and_queues_are_these():
    assert {file: set(doc["on"]) for file, doc in WORKFLOWS.items()} == TRIGGERS
    assert CALLS == CALLED
    assert {key: condition(*key) for key in [*JOBS, *CALLS] if condition(*key)} == CONDITIONS
    assert {key: job(*key)["needs"] for key in JOBS if "needs" in job(*key)} == NEEDS
    queues = {(file, ""): doc["concurrency"] for file, doc in WORKFLOWS.items() if "concurrency" in doc}
    queues |= {key: job(*key)["concurrency"] for key in JOBS if "concurrency" in job(*key)}
    assert {key: (queue["group"], queue["cancel-in-progress"]) for key, queue in queues.items()} == QUEUES


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


def test_whoever_writes_the_registry_waits_for_the_others():
    writers = ("promote apply", "delivery deploy", "delivery rollback")
    for where, step in steps():
        if any(verb in step.get("run", "") for verb in writers):
            file, _, name = where.partition(": ")
            default = WORKFLOWS["_promote.yml"]["on"]["workflow_call"]["inputs"]["directory"]["default"]
            group, cancels = QUEUES[file, name]
            assert (group.replace("${{ inputs.directory }}", default), cancels) == ("registry-.", False)


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


def test_protection_asks_for_checks_that_exist():
    rule = json.loads((GITHUB / "rulesets" / "main.json").read_text())
    checks = next(
        r["parameters"]["required_status_checks"] for r in rule["rules"] if r["type"] == "required_status_checks"
    )
    names = {
        f"{caller} / {job(file, name)['name']}"
        for (event, caller), file in CALLS.items() for name in WORKFLOWS[file]["jobs"]
        if "pull_request" in WORKFLOWS[event]["on"]
    }  # fmt: skip
    assert {check["context"] for check in checks} == {"ci / required", "report / report"} <= names


def forgotten(document: dict) -> set[str]:
    """Jobs that the check `required` does not wait for."""
    return document["jobs"].keys() - {"required", *document["jobs"]["required"]["needs"]}


def test_no_job_of_ci_can_be_forgotten():
    assert forgotten(WORKFLOWS["_ci.yml"]) == set()
    planted = {"jobs": WORKFLOWS["_ci.yml"]["jobs"] | {"fifth": {"runs-on": "ubuntu-latest", "steps": []}}}
    assert forgotten(planted) == {"fifth"}


@pytest.mark.parametrize("result", ["success", "failure", "cancelled", "skipped"])
@pytest.mark.parametrize("others", [3, 4])
def test_one_job_without_success_fails_the_check(result: str, others: int):
    (step,) = job("_ci.yml", "required")["steps"]
    assert step["env"] == {"NEEDS": "${{ toJSON(needs) }}"}
    needs = {f"job-{number}": {"result": "success", "outputs": {"x": "failure"}} for number in range(others)}
    needs["last"] = {"result": result, "outputs": {}}
    command = ["bash", "-e", "-c", step["run"]]
    done = subprocess.run(
        command, env={"NEEDS": json.dumps(needs), "PATH": "/usr/bin:/bin"}, check=False, capture_output=True
    )
    assert (done.returncode == 0) == (result == "success")
    assert b'"last": "%s"' % result.encode() in done.stdout  # which one it was
