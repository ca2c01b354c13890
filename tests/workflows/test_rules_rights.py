"""Who may do what: rights of a job, its environment and secrets, whose machine and whose code it runs."""

import json
import re

import pytest
from dotgithub import CALLS, FILES, JOBS, SETUP, WORKFLOWS, condition, job, steps
from harness import callers, expressions

# What each job may do: less breaks a scenario, more is refused here.
RIGHTS = {
    ("alert.yml", "alert"): {"contents": "read", "actions": "read", "checks": "read", "issues": "write"},
    ("batch.yml", "batch"): {"contents": "write"},
    ("bump.yml", "bump"): {"contents": "write", "pull-requests": "write", "actions": "write"},
    ("_ci.yml", "image"): {"contents": "read"},
    ("_ci.yml", "check"): {"contents": "read"},
    ("_ci.yml", "required"): {},
    ("_ci.yml", "test"): {"contents": "read"},
    ("_comment.yml", "comment"): {"actions": "read", "contents": "write", "pull-requests": "write"},
    ("deploy.yml", "deploy"): {"contents": "write", "packages": "read", "attestations": "read", "deployments": "write"},
    ("doctor.yml", "doctor"): {"contents": "read", "actions": "read", "issues": "write"},
    ("command.yml", "command"): {"contents": "write", "pull-requests": "write", "actions": "write"},
    ("compact.yml", "compact"): {"contents": "write", "pull-requests": "read"},
    ("drill.yml", "drill"): {"contents": "write", "packages": "read", "issues": "write"},
    ("drift.yml", "drift"): {"contents": "write", "pull-requests": "write", "actions": "write", "id-token": "write"},
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
    ("_promote.yml", "measure"): {"contents": "read", "pull-requests": "read", "id-token": "write"},
    ("refresh.yml", "refresh"): {"contents": "write", "pull-requests": "write", "actions": "write"},
    ("remake.yml", "due"): {"contents": "read"},
    ("remake.yml", "remake"): {"contents": "read", "id-token": "write"},
    ("rollback.yml", "unblock"): {"contents": "read", "actions": "write"},
    ("_ci.yml", "runner"): {"contents": "read"},
    ("_ci.yml", "push"): {"contents": "write", "actions": "write", "id-token": "write"},
    ("_ci.yml", "report"): {"contents": "read", "id-token": "write"},
    ("_ci.yml", "comment"): {"contents": "read", "actions": "write"},
    ("rollback.yml", "rollback"): {"contents": "write", "packages": "read", "deployments": "write"},
    ("scan.yml", "scan"): {"contents": "read", "packages": "read", "issues": "write"},
    ("tag.yml", "tag"): {"contents": "write"},
}
ENVIRONMENTS = {
    ("deploy.yml", "deploy"): "${{ inputs.environment }}",
    ("batch.yml", "batch"): "bot",
    ("bump.yml", "bump"): "bot",
    ("compact.yml", "compact"): "bot",
    ("doctor.yml", "doctor"): "bot",
    ("drift.yml", "drift"): "bot",
    ("drill.yml", "drill"): "bot",
    ("pages.yml", "publish"): "github-pages",
    ("_promote.yml", "apply"): "${{ needs.measure.outputs.environment }}",
    ("_ci.yml", "push"): "bot",
    ("_promote.yml", "measure"): "bot",
    ("rollback.yml", "rollback"): "${{ inputs.environment }}",
}
# What may have to run on the host that it deploys to.
LASTING = {("deploy.yml", "deploy"), ("_promote.yml", "apply"), ("rollback.yml", "rollback")}
# What may run elsewhere than on GitHub's machines.
RUNNERS = dict.fromkeys(LASTING, "${{ vars.DEPLOY_RUNNER || 'ubuntu-24.04' }}") | {
    ("drill.yml", "drill"): "${{ vars.DEPLOY_RUNNER || 'ubuntu-24.04' }}",
    (
        "_ci.yml",
        "report",
    ): """${{ fromJSON(needs.runner.result == 'success' && needs.runner.outputs.labels || '["ubuntu-24.04"]') }}""",
}
# What reads or writes the registry, each step by its verb; on a server it does so with the server's token.
REGISTRY = {
    ("batch.yml", "batch"): ["batch"],
    ("deploy.yml", "deploy"): ["deploy", "status"],
    ("doctor.yml", "doctor"): ["doctor"],
    ("drift.yml", "drift"): ["drift"],
    ("drill.yml", "drill"): ["drill"],
    ("_promote.yml", "apply"): ["promote"],
    ("_promote.yml", "measure"): ["promote"],
    ("rollback.yml", "rollback"): ["rollback", "status"],
}
ADDRESS, TOKEN = "MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_TOKEN"
# What reads or writes DVC's objects, which may be in a bucket: it may log in to a cloud, and no other job.
OBJECTS = {
    ("_ci.yml", "report"), ("_ci.yml", "push"), ("_promote.yml", "measure"), ("drift.yml", "drift"), ("remake.yml", "remake"),
}  # fmt: skip
CLOUD = {"uses": "$/.github/actions/cloud", "with": {"variables": "${{ toJSON(vars) }}"}}
SIGNS = {("_promote.yml", "image"), ("pages.yml", "publish")}
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
    assert {key: job(*key)["runs-on"] for key in JOBS} == dict.fromkeys(JOBS, "ubuntu-24.04") | RUNNERS


def test_secrets_are_few_and_kept_in_an_environment():
    for file, name in JOBS:
        used = set(re.findall(r"secrets\.(\w+)", json.dumps(job(file, name))))
        used -= (
            {TOKEN} if (file, name) in REGISTRY else set()
        )  # of the whole repository: every environment's versions are there
        if (file, name) in LASTING:  # the tokens of the service, of the environment that is deployed to
            assert used <= {"SERVE_TOKENS", "SERVE_TOKEN"}
            assert (file, name) in ENVIRONMENTS
        else:
            assert used <= {"APP_PRIVATE_KEY"}
            assert not used or job(file, name)["environment"]["name"] == "bot"


def test_the_registry_server_and_its_token_reach_the_steps_that_need_them_and_no_other():
    """Nobody's pull request gets the token: its report reads without one. `compact` must only know that a server is set."""
    found: dict[tuple[str, str], list[str]] = {}
    for key in JOBS:
        assert TOKEN not in json.dumps({name: part for name, part in job(*key).items() if name != "steps"})
        for step in job(*key)["steps"]:
            settings = step.get("env", {})
            if TOKEN in json.dumps(step):
                assert settings[ADDRESS] == "${{ vars.MLFLOW_TRACKING_URI }}"
                assert settings[TOKEN] == "${{ secrets.MLFLOW_TRACKING_TOKEN }}"
                found.setdefault(key, []).append(step["run"].split()[1])
            elif ADDRESS in settings:
                assert (key, settings[ADDRESS]) in [
                    (("_ci.yml", "report"), "${{ vars.MLFLOW_READ_URI }}"),
                    (("compact.yml", "compact"), "${{ vars.MLFLOW_TRACKING_URI }}"),
                ]
            else:
                assert not re.search(r"delivery (review|compact)\b", step.get("run", "")), (
                    "it would use the store's registry"
                )
    assert found == REGISTRY


def test_a_job_that_needs_objects_logs_in_right_after_its_set_up_and_no_other_has_an_identity():
    found = {key: index for key in JOBS for index, step in enumerate(job(*key)["steps"]) if step == CLOUD}
    assert found == dict.fromkeys(OBJECTS, 1), "the checkout before it would remove the file that a login leaves"
    assert {key for key in JOBS if "id-token" in job(*key)["permissions"]} == OBJECTS | SIGNS
    logins = [where for where, step in steps() if "/cloud" in step.get("uses", "")]
    assert len(logins) == len(OBJECTS), "each as above, without a condition"
    seen = [step["env"].get("REPOSITORY_VARIABLES") for step in job("doctor.yml", "doctor")["steps"] if "env" in step]
    assert seen == ["${{ toJSON(vars) }}"], "doctor judges the variables that the login gets"


def test_nothing_happens_in_the_cloud_action_without_its_variables():
    """An action does not see `vars`; a job that has none may give it an empty object or null."""
    inside = [step for where, step in steps() if where == "cloud/action.yml"]
    identity, *logins = inside
    assert [step["uses"].partition("@")[0] for step in logins] == [
        "aws-actions/configure-aws-credentials", "google-github-actions/auth", "azure/login",
    ]  # fmt: skip
    names = ("AWS_ROLE_ARN", "GCP_WORKLOAD_IDENTITY_PROVIDER", "AZURE_CLIENT_ID")
    granted = {"identity": {"outputs": {"granted": "true"}}}
    for known in ({}, None, {"AWS_REGION": "eu-west-1", "APP_CLIENT_ID": "Iv1"}):
        contexts = {"inputs": {"variables": json.dumps(known)}, "steps": granted}
        assert not [step for step in inside if expressions.true(step["if"], contexts)]
    for name, login in zip(names, logins, strict=True):
        contexts = {"inputs": {"variables": json.dumps({name: "one"})}, "steps": granted}
        assert [step for step in inside if expressions.true(step["if"], contexts)] == [identity, login]
        contexts["steps"] = {"identity": {"outputs": {}}}
        assert [step for step in inside if expressions.true(step["if"], contexts)] == [identity]
    assert "vars." not in json.dumps(inside)
    assert "secrets" not in json.dumps(inside)


def test_the_only_checkouts_are_those_of_the_actions_and_none_keeps_its_token():
    checkouts = [(where, step) for where, step in steps() if "actions/checkout@" in step.get("uses", "")]
    assert [where for where, _ in checkouts] == ["cml/action.yml", "setup/action.yml"]
    for where, step in checkouts:
        assert step["with"]["persist-credentials"] is False, where


def test_the_trusted_job_checks_out_no_code_of_a_pull_request():
    trusted = [key for key in JOBS if key[0] in ("_comment.yml", "command.yml", "drift.yml", "batch.yml")]
    trusted += [("_ci.yml", "push"), ("_ci.yml", "comment"), ("doctor.yml", "doctor"), ("alert.yml", "alert")]
    for key in trusted:
        setups = [step for step in job(*key)["steps"] if step.get("uses") == SETUP]
        assert [step["with"]["ref"] for step in setups] == ["${{ github.event.repository.default_branch }}"]
    assert not [file for file, doc in WORKFLOWS.items() if "pull_request_target" in doc["on"]]
    assert [file for file, doc in WORKFLOWS.items() if "workflow_run" in doc["on"]] == ["alert.yml", "comment.yml"]


def test_results_are_pushed_to_whose_branch_may_be_pushed_to():
    """`--pushes` says that the job `push` will: the two must agree, and neither may mean a fork or Dependabot."""
    (review,) = [step for step in job("_ci.yml", "report")["steps"] if step.get("id") == "review"]
    said = review["env"]["PUSHES"]
    for part in OWN:
        assert part in said
        assert part in condition("_ci.yml", "push")


def test_own_runners_are_for_pull_requests_of_this_repository_only():
    """The one job that a label may place elsewhere is placed by a job that no fork and no Dependabot sets off."""
    assert {key for key in RUNNERS if "DEPLOY" not in RUNNERS[key]} == {("_ci.yml", "report")}
    assert all(part in condition("_ci.yml", "runner") for part in OWN)
    assert job("_ci.yml", "runner")["outputs"] == {"labels": "${{ steps.runner.outputs.labels }}"}
    (step,) = job("_ci.yml", "runner")["steps"]  # no checkout: no code of the branch but this repository's workflows
    assert step["uses"] == "$/.github/actions/runner"
    assert step["with"]["known"] == "${{ vars.RUNNERS }}"
