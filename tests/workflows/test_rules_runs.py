"""When a run starts, what it waits for, and what it is asked."""

import json

from dotgithub import GITHUB, JOBS, WORKFLOWS, condition, job, steps
from harness.template import ROOT

from delivery.core import params

# Group of runs of which one runs at a time, and whether a newer one ends it.
QUEUES = {
    ("batch.yml", ""): ("batch", False),
    ("ci.yml", ""): ("ci-${{ github.ref }}${{ inputs.directory }}", "${{ github.event_name == 'pull_request' }}"),
    ("comment.yml", ""): ("comment", False),
    ("deploy.yml", "deploy"): ("registry", False),
    ("doctor.yml", ""): ("doctor", True),
    ("drift.yml", ""): ("drift", False),
    ("pages.yml", ""): ("pages", False),
    ("promote.yml", ""): ("promote-${{ github.ref }}${{ inputs.directory }}", False),
    ("promote.yml", "apply"): ("registry${{ inputs.directory }}", False),
    ("report.yml", ""): ("report-${{ github.event.pull_request.number || github.ref }}${{ inputs.directory }}", True),
    ("rollback.yml", "rollback"): ("registry", False),
}
CONDITIONS = {
    ("ci.yml", "required"): "always()",
    (
        "comment.yml",
        "comment",
    ): "github.event_name == 'workflow_dispatch' || github.event.workflow_run.event == 'pull_request'",
    (
        "report.yml",
        "push",
    ): "${{ !cancelled() && needs.report.outputs.stale == 'true' && github.event_name == 'pull_request' "
    "&& github.event.pull_request.head.repo.full_name == github.repository && github.actor != 'dependabot[bot]' }}",
    ("report.yml", "place"): "${{ contains(toJSON(github.event.pull_request.labels.*.name), '\"runner:') "
    "&& github.event.pull_request.head.repo.full_name == github.repository && github.actor != 'dependabot[bot]' }}",
    ("report.yml", "report"): "${{ !cancelled() }}",
    ("report.yml", "tell"): "${{ !cancelled() && github.event_name == 'workflow_dispatch' && inputs.number != 0 }}",
}
NEEDS = {
    ("ci.yml", "required"): ["lint", "test", "model", "image"],
    ("pages.yml", "publish"): "build",
    ("promote.yml", "image"): "measure",
    ("promote.yml", "apply"): ["measure", "image"],
    ("report.yml", "report"): "place",
    ("report.yml", "push"): "report",
    ("report.yml", "tell"): "report",
}
TRIGGERS = {
    "batch.yml": {"schedule", "workflow_dispatch"},
    "ci.yml": {"push", "pull_request", "workflow_dispatch", "workflow_call"},
    "comment.yml": {"workflow_run", "workflow_dispatch", "workflow_call"},
    "deploy.yml": {"workflow_dispatch"},
    "doctor.yml": {"push", "workflow_dispatch"},
    "drift.yml": {"schedule", "workflow_dispatch"},
    "pages.yml": {"workflow_dispatch"},
    "promote.yml": {"push", "workflow_dispatch", "workflow_call"},
    "report.yml": {"pull_request", "workflow_dispatch", "workflow_call"},
    "rollback.yml": {"workflow_dispatch"},
}


def test_every_job_has_a_name_and_a_limit():
    for file, name in JOBS:
        about = job(file, name)
        assert 0 < about["timeout-minutes"] <= 60, (file, name)
        assert about["name"] in (name, "${{ matrix.suite }}")


def test_triggers_conditions_order_and_queues_are_these():
    assert {file: set(doc["on"]) for file, doc in WORKFLOWS.items()} == TRIGGERS
    assert {key: condition(*key) for key in JOBS if condition(*key)} == CONDITIONS
    assert {key: job(*key)["needs"] for key in JOBS if "needs" in job(*key)} == NEEDS
    queues = {(file, ""): doc["concurrency"] for file, doc in WORKFLOWS.items() if "concurrency" in doc}
    queues |= {key: job(*key)["concurrency"] for key in JOBS if "concurrency" in job(*key)}
    assert {key: (queue["group"], queue["cancel-in-progress"]) for key, queue in queues.items()} == QUEUES


def test_whoever_writes_the_registry_waits_for_the_others():
    writers = ("promote apply", "delivery deploy", "delivery rollback")
    for where, step in steps():
        if any(verb in step.get("run", "") for verb in writers):
            file, _, name = where.partition(": ")
            assert QUEUES[file, name] in (("registry", False), ("registry${{ inputs.directory }}", False))


def test_inputs_have_types_and_words():
    for file, document in WORKFLOWS.items():
        for event in ("workflow_dispatch", "workflow_call"):
            for name, about in ((document["on"].get(event) or {}).get("inputs") or {}).items():
                assert about["type"] in ("string", "choice", "boolean", "number"), (file, name)
                assert about["description"]
                assert event == "workflow_dispatch" or "default" in about, "a caller says only what differs"


def test_schedules_are_explained_and_off_the_full_hour():
    page = (ROOT / "docs" / "reference" / "workflows.md").read_text()
    for file, document in WORKFLOWS.items():
        for entry in document["on"].get("schedule", []):
            assert entry["cron"] in page, file
            assert not entry["cron"].startswith("0 ")


def test_every_workflow_has_a_section_in_the_reference():
    page = (ROOT / "docs" / "reference" / "workflows.md").read_text()
    for file in WORKFLOWS:
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
    names = {job(*key)["name"] for key in JOBS if WORKFLOWS[key[0]]["on"].keys() & {"pull_request"}}
    assert {check["context"] for check in checks} <= names
    needed = set(job("ci.yml", "required")["needs"])
    assert needed == set(WORKFLOWS["ci.yml"]["jobs"]) - {"required"}
