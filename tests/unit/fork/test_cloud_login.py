"""What doctor says of the bucket and of the variables that log in to its cloud."""

import json
from pathlib import Path

import pytest

from delivery.core import workspace
from delivery.fork import cloud

AWS = {"AWS_ROLE_ARN": "arn:aws:iam::1:role/writer", "AWS_REGION": "eu-west-1"}
GOOGLE = {"GCP_WORKLOAD_IDENTITY_PROVIDER": "projects/1/x", "GCP_SERVICE_ACCOUNT": "writer@x"}
AZURE = {"AZURE_CLIENT_ID": "c", "AZURE_TENANT_ID": "t", "AZURE_SUBSCRIPTION_ID": "s"}
STORE = "../.store/dvc"


def remote(url: str) -> None:
    """A project whose default remote is at this address, and that still has the one in the store."""
    workspace.DVC_CONFIG.parent.mkdir(exist_ok=True)
    workspace.DVC_CONFIG.write_text(
        f"""[core]
    remote = chosen
['remote "store"']
    url = {STORE}
['remote "chosen"']
    url = {url}
"""
    )


@pytest.mark.parametrize(
    ("url", "variables", "state", "found", "fix"),
    [
        (STORE, {}, "ready", "not needed", ""),
        ("s3://flights/dvc", AWS, "ready", "Amazon, for s3://flights/dvc", ""),
        ("gs://flights/dvc", GOOGLE, "ready", "Google, for gs://", ""),
        ("azure://flights/dvc", AZURE, "ready", "Azure, for azure://", ""),
        ("s3://flights/dvc", {}, "missing", "none to Amazon: no job can write", "variables AWS_ROLE_ARN, AWS_REGION; "),
        ("gs://flights/dvc", AWS, "missing", "none to Google", "variables GCP_WORKLOAD_IDENTITY_PROVIDER, GCP_SERVICE_ACCOUNT; "),
        ("s3://flights/dvc", {"AWS_ROLE_ARN": "r"}, "missing", "Amazon by half: AWS_ROLE_ARN without AWS_REGION",
         "variable AWS_REGION; docs/how-to/scale.md"),
        ("s3://flights/dvc", {"AWS_REGION": "r"}, "missing", "Amazon by half: AWS_REGION without AWS_ROLE_ARN", "variable AWS_ROLE_ARN; "),
        (STORE, {"GCP_WORKLOAD_IDENTITY_PROVIDER": "p"}, "missing", "Google by half: GCP_WORKLOAD_IDENTITY_PROVIDER without GCP_S",
         "variable GCP_SERVICE_ACCOUNT; "),
        ("azure://flights/dvc", {"AZURE_CLIENT_ID": "c", "AZURE_TENANT_ID": ""}, "missing", "Azure by half: AZURE_CLIENT_ID without AZ",
         "variables AZURE_TENANT_ID, AZURE_SUBSCRIPTION_ID; "),
        # A region alone logs nothing in: a team's own workflows may use it.
        (STORE, {"AWS_REGION": "eu-west-1"}, "ready", "not needed", ""),
        (STORE, AWS, "optional", "Amazon, where nothing is kept", "`dvc remote add --default ...`"),
    ],
)  # fmt: skip
def test_a_login_that_is_set_by_half_or_not_at_all_has_one_fix(
    url: str, variables: dict[str, str], state: str, found: str, fix: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote(url)
    monkeypatch.setenv("REPOSITORY_VARIABLES", json.dumps(variables))
    finding = cloud.login()
    assert (finding.state, finding.found[: len(found)]) == (state, found)
    assert finding.fix.startswith(fix)
    assert bool(finding.fix) == (state != "ready")


def test_on_a_laptop_nobody_knows_the_variables(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REPOSITORY_VARIABLES", raising=False)
    remote("s3://flights/dvc")
    assert (cloud.login().state, cloud.login().fix) == ("unknown", "`gh workflow run doctor.yml`")
    remote(STORE)
    assert cloud.login().state == "ready"


def test_a_bucket_is_not_called_the_store_although_the_store_is_still_a_remote(folder: Path) -> None:
    remote("s3://flights/dvc")
    assert (cloud.remote().state, cloud.remote().found) == ("ready", "s3://flights/dvc")
    remote(STORE)
    assert cloud.remote().found == "the store branch"
    workspace.DVC_CONFIG.unlink()
    assert cloud.remote().state == "missing"
