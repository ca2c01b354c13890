"""Who may do what: rights of a job, its environment and secrets, whose machine and whose code it runs."""

import json
import re

import pytest
from dotgithub import CALLS, FILES, JOBS, SETUP, WORKFLOWS, condition, job, steps
from harness import callers

# What each job may do: less breaks a scenario, more is refused here.
RIGHTS = {
    ("batch.yml", "batch"): {"contents": "write"},
    ("_ci.yml", "image"): {"contents": "read"},
    ("_ci.yml", "lint"): {"contents": "read"},
    ("_ci.yml", "model"): {"contents": "read"},
    ("_ci.yml", "required"): {},
    ("_ci.yml", "test"): {"contents": "read"},
    ("_comment.yml", "comment"): {"actions": "read", "contents": "write", "pull-requests": "write"},
    ("deploy.yml", "deploy"): {"contents": "write", "packages": "read", "attestations": "read", "deployments": "write"},
    ("doctor.yml", "doctor"): {"contents": "read", "actions": "read"},
    ("drift.yml", "drift"): {"contents": "write", "pull-requests": "write", "actions": "write"},
    ("pages.yml", "build"): {"contents": "read"},
    ("pages.yml", "publish"): {"pages": "write", "id-token": "write"},
    ("_promote.yml", "apply"): {
        "contents": "write",
        "pull-requests": "read",
        "packages": "read",
        "attestations": "read",
        "deployments": "write",
    },
    ("_promote.yml", "image"): {"contents": "read", "packages": "write", "id-token": "write", "attestations": "write"},
    ("_promote.yml", "measure"): {"contents": "read"},
    ("_report.yml", "runner"): {"contents": "read"},
    ("_report.yml", "push"): {"contents": "write", "actions": "write"},
    ("_report.yml", "report"): {"contents": "read"},
    ("_report.yml", "comment"): {"contents": "read", "actions": "write"},
    ("rollback.yml", "rollback"): {"contents": "write", "packages": "read", "deployments": "write"},
    ("tag.yml", "tag"): {"contents": "write"},
}
ENVIRONMENTS = {
    ("deploy.yml", "deploy"): "${{ inputs.environment }}",
    ("drift.yml", "drift"): "bot",
    ("pages.yml", "publish"): "github-pages",
    ("_promote.yml", "apply"): "${{ needs.measure.outputs.environment }}",
    ("_report.yml", "push"): "bot",
    ("rollback.yml", "rollback"): "${{ inputs.environment }}",
}
# What may have to run on the host that it deploys to.
LASTING = {("deploy.yml", "deploy"), ("_promote.yml", "apply"), ("rollback.yml", "rollback")}
# What may run elsewhere than on GitHub's machines.
RUNNERS = dict.fromkeys(LASTING, "${{ vars.DEPLOY_RUNNER || 'ubuntu-latest' }}") | {
    (
        "_report.yml",
        "report",
    ): """${{ fromJSON(needs.runner.result == 'success' && needs.runner.outputs.labels || '["ubuntu-latest"]') }}""",
}
# Of a pull request: neither from a fork nor by Dependabot.
OWN = ("pull_request.head.repo.full_name == github.repository", "github.actor != 'dependabot[bot]'")


def test_nothing_is_allowed_at_the_top_and_each_job_gets_what_it_needs():
    assert all(document["permissions"] == {} for document in WORKFLOWS.values())
    assert {key: job(*key)["permissions"] for key in JOBS} == RIGHTS


def test_a_call_may_do_what_its_jobs_need_and_no_more():
    """With less GitHub refuses the run; more, and a called job could have it."""
    assert {key: job(*key)["permissions"] for key in CALLS} == {
        key: callers.needed(WORKFLOWS[file]) for key, file in CALLS.items()
    }


def test_secrets_are_handed_on_where_a_called_job_has_an_environment_and_nowhere_else():
    for key, file in CALLS.items():
        declared = WORKFLOWS[file]["on"]["workflow_call"].get("secrets") or {}
        assert job(*key).get("secrets") == ("inherit" if declared else None)
        assert bool(declared) == any(one[0] == file for one in ENVIRONMENTS)
        used = set(re.findall(r"secrets\.(\w+)", json.dumps(WORKFLOWS[file]["jobs"])))
        assert used == declared.keys(), file


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_right_says_why(path):
    lines = path.read_text().splitlines()
    for number, line in enumerate(lines):
        if re.match(r"^    permissions:\s*$", line):
            granted = [x for x in lines[number + 1 : number + 7] if re.match(r"^      [a-z-]+: (read|write)", x)]
            assert granted
            assert all(" # " in right for right in granted), granted


def test_environments_are_these_and_the_verbs_record_what_is_deployed():
    found = {key: job(*key)["environment"] for key in JOBS if "environment" in job(*key)}
    assert {key: about["name"] for key, about in found.items()} == ENVIRONMENTS
    assert all(about["deployment"] is False for key, about in found.items() if key[0] != "pages.yml")


def test_every_job_runs_on_a_machine_that_is_known():
    assert {key: job(*key)["runs-on"] for key in JOBS} == dict.fromkeys(JOBS, "ubuntu-latest") | RUNNERS


def test_secrets_are_few_and_kept_in_an_environment():
    for file, name in JOBS:
        used = set(re.findall(r"secrets\.(\w+)", json.dumps(job(file, name))))
        if (file, name) in LASTING:  # the tokens of the service, of the environment that is deployed to
            assert used <= {"SERVE_TOKENS", "SERVE_TOKEN"}
            assert (file, name) in ENVIRONMENTS
        else:
            assert used <= {"APP_PRIVATE_KEY"}
            assert not used or job(file, name)["environment"]["name"] == "bot"


def test_the_only_checkouts_are_those_of_the_actions_and_none_keeps_its_token():
    checkouts = [(where, step) for where, step in steps() if "actions/checkout@" in step.get("uses", "")]
    assert [where for where, _ in checkouts] == ["cml/action.yml", "setup/action.yml"]
    for where, step in checkouts:
        assert step["with"]["persist-credentials"] is False, where


def test_the_trusted_job_checks_out_no_code_of_a_pull_request():
    for file in ("_comment.yml", "drift.yml", "batch.yml"):
        setups = [s for name in WORKFLOWS[file]["jobs"] for s in job(file, name)["steps"] if s.get("uses") == SETUP]
        assert [step["with"]["ref"] for step in setups] == ["${{ github.event.repository.default_branch }}"]
    assert not [file for file, doc in WORKFLOWS.items() if "pull_request_target" in doc["on"]]
    assert [file for file, doc in WORKFLOWS.items() if "workflow_run" in doc["on"]] == ["comment.yml"]


def test_results_are_pushed_to_whose_branch_may_be_pushed_to():
    """`--pushes` says that the job `push` will: the two must agree, and neither may mean a fork or Dependabot."""
    (review,) = [step for step in job("_report.yml", "report")["steps"] if step.get("id") == "review"]
    said = review["env"]["PUSHES"]
    for part in OWN:
        assert part in said
        assert part in condition("_report.yml", "push")


def test_own_runners_are_for_pull_requests_of_this_repository_only():
    """The one job that a label may place elsewhere is placed by a job that no fork and no Dependabot sets off."""
    assert {key for key in RUNNERS if "DEPLOY" not in RUNNERS[key]} == {("_report.yml", "report")}
    assert all(part in condition("_report.yml", "runner") for part in OWN)
    assert job("_report.yml", "runner")["outputs"] == {"labels": "${{ steps.runner.outputs.labels }}"}
    (step,) = job("_report.yml", "runner")[
        "steps"
    ]  # no checkout: no code of the branch but this repository's workflows
    assert step["uses"] == "$/.github/actions/runner"
    assert step["with"]["known"] == "${{ vars.RUNNERS }}"
