"""The login to a bucket's cloud: by variables only, with the role that the job's OIDC token is trusted for."""

import json

import edits
import pytest
from harness.world import World, run

READER, WRITER = "arn:aws:iam::1:role/reader", "arn:aws:iam::1:role/writer"
TRUSTS = {
    READER: ["repo:acme/demo:pull_request", "repo:acme/demo:ref:refs/heads/*"],
    WRITER: ["repo:acme/demo:environment:bot"],
}


@pytest.fixture
def clouded(settled: World) -> World:
    """As docs/how-to/scale.md sets it up: a reading role for all jobs, and a writing one in the environment `bot`."""
    said = {role: {"trusts": trusts, "environment": {"AWS_REGION": "eu-west-1"}} for role, trusts in TRUSTS.items()}
    (settled.hub.folder / "cloud.json").write_text(json.dumps(said))
    settled.repo.variables |= {"AWS_ROLE_ARN": READER, "AWS_REGION": "eu-west-1"}
    settled.repo.environment_variables["bot"] = {"AWS_ROLE_ARN": WRITER}
    return settled


def logins(world: World) -> list[str]:
    """Job, role and subject of each login so far, which this forgets."""
    file = world.hub.folder / "logins"
    found = file.read_text().splitlines() if file.exists() else []
    file.unlink(missing_ok=True)
    return found


def test_a_pull_request_reads_and_what_writes_has_the_role_of_its_environment(clouded):
    there = clouded
    number = there.propose("slower", edits.BETTER)
    there.settle()
    assert there.checks(there.head(number))["ci / report"] == "success"
    assert logins(there) == [
        f"report {READER} repo:acme/demo:pull_request",
        f"push {WRITER} repo:acme/demo:environment:bot",
        f"report {READER} repo:acme/demo:ref:refs/heads/slower",  # dispatched for the commit of results
    ]
    there.merge(number)
    there.router.disabled = ("ci.yml", "doctor.yml", "comment.yml", "refresh.yml", "tag.yml")
    there.settle()
    assert run(there, "promote").conclusion == "success"
    assert logins(there) == [f"measure {WRITER} repo:acme/demo:environment:bot"]


def test_a_forks_pull_request_gets_no_login_and_is_told(clouded):
    clouded.propose("leaf", edits.SAME, login="grace", fork=True)
    clouded.settle()
    assert logins(clouded) == []
    assert "no login to the cloud: GitHub gives a fork's pull request no OIDC token" in run(clouded, "ci").log
    assert "within noise" in next(iter(clouded.repo.comments.values()))["body"], "what it needs is not in a bucket here"


def test_without_environments_all_jobs_have_the_repositorys_role_and_a_refusal_names_whom_it_does_not_trust(clouded):
    clouded.repo.variables["AWS_ROLE_ARN"] = WRITER
    clouded.propose("leaf", edits.SAME)
    clouded.settle()
    assert run(clouded, "ci").jobs["ci / report"] == "failure"
    assert f"{WRITER} does not trust repo:acme/demo:pull_request" in run(clouded, "ci").failed
    assert logins(clouded) == []


@pytest.mark.parametrize(
    "variables",
    [
        {"GCP_WORKLOAD_IDENTITY_PROVIDER": "projects/1/x", "GCP_SERVICE_ACCOUNT": READER},
        {"AZURE_CLIENT_ID": READER, "AZURE_TENANT_ID": "t", "AZURE_SUBSCRIPTION_ID": "s"},
    ],
    ids=["google", "azure"],
)
def test_the_other_clouds_are_variables_as_well(clouded, variables):
    clouded.repo.variables, clouded.repo.environment_variables = variables, {}
    clouded.router.dispatch(clouded.repo, "remake.yml")
    assert run(clouded, "remake").conclusion == "success"
    assert logins(clouded) == [f"remake {READER} repo:acme/demo:ref:refs/heads/main"]
