"""A repository that has outgrown its files: registry on a server with PostgreSQL, objects in a private bucket, no edited workflow.

The servers are real: MLflow's behind a proxy that wants a token, and moto's S3, which checks signatures and what a role may do.
"""

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import edits
import engines
import pytest
import tracking
from answering import answering
from harness import template
from harness.gitserver import body_of
from harness.world import World, run

pytestmark = pytest.mark.skipif(bool(engines.absent()), reason=engines.absent())

BUCKET, TOKEN, REGION = "flights", "the-registry's-token", "us-east-1"
ARN = "arn:aws:iam::123456789012:role/"
OWN_HEADERS = ("Authorization", "Host", "Transfer-Encoding", "Content-Length")  # of each side of a proxy
# As docs/how-to/scale.md has it: what each role may do, and whom it trusts.
ROLES = {
    "reader": (["s3:Get*", "s3:List*", "s3:Head*"], ["repo:acme/demo:pull_request", "repo:acme/demo:ref:refs/heads/*"]),
    "writer": (["s3:*"], ["repo:acme/demo:environment:bot"]),
}


def policy(actions: list[str]) -> str:
    within = [f"arn:aws:s3:::{BUCKET}", f"arn:aws:s3:::{BUCKET}/*"]
    return json.dumps(
        {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": actions, "Resource": within}}
    )


def environment(keys: dict[str, Any]) -> dict[str, str]:
    """The variables that a login to Amazon leaves."""
    names = {
        "AccessKeyId": "AWS_ACCESS_KEY_ID",
        "SecretAccessKey": "AWS_SECRET_ACCESS_KEY",
        "SessionToken": "AWS_SESSION_TOKEN",
    }
    found = {names[name]: value for name, value in keys.items() if name in names}
    return found | {"AWS_REGION": REGION, "AWS_DEFAULT_REGION": REGION}


@pytest.fixture(scope="module")
def bucket() -> Iterator[tuple[str, dict[str, dict[str, str]]]]:
    """The address of an S3 server with a private bucket, and the keys of its roles and its owner."""
    import boto3
    from moto.s3.exceptions import S3AccessDeniedError
    from moto.s3.responses import S3Response

    check = S3Response._authenticate_and_authorize_s3_action

    def checked(self: Any, *words: Any, **more: Any) -> None:
        """moto cannot check the signed addresses that MLflow's server hands out, and breaks on who signs nothing."""
        if "X-Amz-Signature=" in self.uri:
            return
        if "Authorization" not in self.headers:
            raise S3AccessDeniedError
        check(self, *words, **more)

    def client(kind: str) -> Any:
        root = {"aws_access_key_id": "root", "aws_secret_access_key": "root"}
        return boto3.client(kind, endpoint_url=address, region_name=REGION, **root)

    def authenticate(after: str) -> None:
        urlopen(Request(f"{address}/moto-api/reset-auth", after.encode(), {"Content-Type": "text/plain"})).close()

    with pytest.MonkeyPatch.context() as patch, engines.s3() as address:
        client("s3").create_bucket(Bucket=BUCKET)
        iam, keys = client("iam"), {}
        iam.create_user(UserName="owner")
        iam.put_user_policy(UserName="owner", PolicyName="bucket", PolicyDocument=policy(["s3:*"]))
        keys["owner"] = environment(iam.create_access_key(UserName="owner")["AccessKey"])
        for name, (actions, _) in ROLES.items():
            iam.create_role(RoleName=name, AssumeRolePolicyDocument="{}")
            iam.put_role_policy(RoleName=name, PolicyName="bucket", PolicyDocument=policy(actions))
            session = client("sts").assume_role(RoleArn=ARN + name, RoleSessionName="scenario")
            keys[name] = environment(session["Credentials"])
        patch.setattr(S3Response, "_authenticate_and_authorize_s3_action", checked)
        authenticate("0")  # from here on
        try:
            yield address, keys
        finally:
            authenticate("inf")  # other tests of this process


@contextmanager
def guarded(server: str, refused: list[str], *, reading: bool = False) -> Iterator[str]:
    """The address of a proxy before the server that wants the token, or lets everybody read and nobody write; it notes refusals."""
    host = urlsplit(server).netloc

    class Handler(BaseHTTPRequestHandler):
        def handle_one(self) -> None:
            body = body_of(self)
            asks = self.command == "GET" or self.path.partition("?")[0].endswith("/search")
            if not (asks if reading else self.headers.get("Authorization") == f"Bearer {TOKEN}"):
                refused.append(f"{self.command} {self.path}")
                return self.answer(403 if reading else 401, {}, b"")
            upstream = http.client.HTTPConnection(host, timeout=60)
            headers = {name: value for name, value in self.headers.items() if name not in OWN_HEADERS}
            upstream.request(self.command, self.path, body, headers)
            reply = upstream.getresponse()
            self.answer(reply.status, {"Content-Type": reply.headers.get("Content-Type", "")}, reply.read())
            upstream.close()
            return None

        def answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in (headers | {"Content-Length": str(len(body))}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_one  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    with answering(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as address:
        yield address


@pytest.fixture
def in_bucket(settled: World, bucket) -> World:
    """The settled repository with data and models in the bucket, and the two roles as variables."""
    address, keys = bucket
    roles = {ARN + name: {"trusts": trusts, "environment": keys[name]} for name, (_, trusts) in ROLES.items()}
    (settled.hub.folder / "cloud.json").write_text(json.dumps(roles))
    settled.repo.variables |= {"AWS_ROLE_ARN": f"{ARN}reader", "AWS_REGION": REGION}
    settled.repo.environment_variables["bot"] = {"AWS_ROLE_ARN": f"{ARN}writer"}
    folder = settled.clone()
    on_a_laptop(settled, folder, "dvc remote add --default s3", f"s3://{BUCKET}/dvc")
    on_a_laptop(settled, folder, "dvc remote modify s3 endpointurl", address)
    on_a_laptop(settled, folder, "delivery store pull")
    on_a_laptop(settled, folder, "delivery migrate objects", **keys["owner"])
    settled.push(folder, "Keep data and models in the bucket")
    settled.hub.events.clear()  # nothing that is delivered has changed
    return settled


@pytest.fixture
def grown(needs_postgresql: None, in_bucket: World, bucket) -> Iterator[tuple[World, str, list[str]]]:
    """The same with the registry on a server that wants a token, and another address of it for those who only read."""
    address, keys = bucket
    owner, refused = keys["owner"] | {"MLFLOW_S3_ENDPOINT_URL": address}, list[str]()
    with (
        engines.postgresql() as database,
        tracking.server(database, "--artifacts-destination", f"s3://{BUCKET}/mlflow", **owner) as server,
        guarded(server, refused) as guarded_address,
        guarded(server, refused, reading=True) as open_address,
    ):
        folder = in_bucket.clone()
        on_a_laptop(in_bucket, folder, "delivery store pull")
        where = {"MLFLOW_TRACKING_URI": guarded_address, "MLFLOW_TRACKING_TOKEN": TOKEN}
        on_a_laptop(in_bucket, folder, "delivery migrate registry", **where)
        in_bucket.repo.variables |= {"MLFLOW_TRACKING_URI": guarded_address, "MLFLOW_READ_URI": open_address}
        secret = {"MLFLOW_TRACKING_TOKEN": TOKEN}
        in_bucket.repo.environment_secrets = dict.fromkeys(("bot", "staging", "production"), secret)
        yield in_bucket, server, refused


def on_a_laptop(there: World, folder: Path, words: str, *more: str, **variables: str) -> None:
    """A command of the owner, who has keys."""
    program = there.router.machine.venv / "bin" / "python"
    template.python(program, folder, "-m", *words.split(), *more, **variables)


def keys_of(bucket, prefix: str) -> set[str]:
    """The names of the objects, as the owner sees them."""
    import boto3

    address, keys = bucket
    mine = keys["owner"]
    client = boto3.client("s3", endpoint_url=address, region_name=REGION, aws_access_key_id=mine["AWS_ACCESS_KEY_ID"],
                          aws_secret_access_key=mine["AWS_SECRET_ACCESS_KEY"])  # fmt: skip
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
    return {entry["Key"] for page in pages for entry in page.get("Contents", [])}


def commits(server: str) -> dict[str, str]:
    """Environment to the commit of the version that its alias points to, as the server has it."""
    from mlflow import MlflowClient

    client = MlflowClient(server, server)
    aliases = client.get_registered_model("model").aliases
    return {name: client.get_model_version("model", number).tags["git.commit"] for name, number in aliases.items()}


def test_from_a_pull_request_to_a_rollback_by_variables_alone(grown, bucket):
    there, server, refused = grown
    first = commits(server)["staging"]
    stored, sent = there.stored(), keys_of(bucket, "dvc/")
    workflows = [path for path in there.repo.files("main") if path.startswith(".github/")]

    there.router.disabled = ("doctor.yml", "refresh.yml", "comment.yml", "tag.yml")
    number = there.propose("slower", edits.BETTER)
    there.settle()
    assert there.checks(there.head(number))["ci / report"] == "success", run(there, "ci").failed
    new = keys_of(bucket, "dvc/") - sent
    assert new, "the results went to the bucket"
    commit = there.merge(number)
    there.settle()
    assert run(there, "promote").conclusion == "success", run(there, "promote").failed
    assert commits(server) == {"staging": commit}
    assert len(keys_of(bucket, "mlflow/")) > 0
    there.router.dispatch(there.repo, "deploy.yml", version="staging", environment="production")
    assert commits(server) == {"staging": commit, "production": commit}, run(there, "deploy").failed
    there.router.dispatch(there.repo, "rollback.yml", environment="staging", reason="too slow")
    assert commits(server) == {"staging": first, "production": commit}, run(there, "rollback").failed
    there.router.disabled = ()
    there.router.dispatch(there.repo, "doctor.yml")
    for row in ("`staging` is version 1", "`production` is version 2", f"cloud login | Amazon, for s3://{BUCKET}/dvc"):
        assert row in run(there, "doctor").summary

    assert [path for path in there.repo.files("main") if path.startswith(".github/")] == workflows
    assert [name for name in there.stored() if name.startswith(("dvc/", "mlflow/"))] == [
        name for name in stored if name.startswith(("dvc/", "mlflow/"))
    ], "nothing more is kept in the branch"
    assert refused == []
    assert not any(TOKEN in one.log for one in there.router.runs)


def test_a_forks_pull_request_names_the_private_bucket_and_what_a_maintainer_does(in_bucket, bucket):
    in_bucket.router.disabled = ("doctor.yml", "refresh.yml", "comment.yml", "tag.yml")
    before = keys_of(bucket, "dvc/")
    in_bucket.propose("leaf", edits.SAME, login="grace", fork=True)
    in_bucket.settle()
    report = run(in_bucket, "ci")
    assert report.jobs["ci / report"] == "failure"
    assert (
        f"The pipeline stopped: s3://{BUCKET}/dvc cannot be read (Unable to locate credentials): GitHub lets no fork's pull request "
        "log in; a maintainer who has read the change can comment `/results` on it" in report.log
    )
    assert "Traceback" not in report.log
    assert keys_of(bucket, "dvc/") == before
