"""DVC's remote in S3: the store's objects move there by one verb, whole, also after a kill; and a person pulls them."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

import engines
import pytest
import sample

from delivery.__main__ import main
from delivery.core import files, workspace
from delivery.deploy.targets.loopback import free_port

MANY, SOME = 40, 5
# The verb, killed by itself once it has sent a few: from outside it may be too late, or never.
KILLED = f"""
import itertools, os, signal
from delivery.__main__ import main
from delivery.adapters import dvc_remote

sent, send = itertools.count(1), dvc_remote._send

def sending(*words):
    send(*words)
    if next(sent) == {SOME}:
        os.kill(os.getpid(), signal.SIGKILL)

dvc_remote._send = sending
main(["migrate", "objects"])
"""


@pytest.fixture
def remote(bucket: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A project whose default DVC remote is an S3 address of its own, and that has a store; the address as a bucket."""
    import boto3

    for name, value in (engines.KEYS | {"AWS_ENDPOINT_URL": bucket}).items():
        monkeypatch.setenv(name, value)
    name = f"remote-{uuid4().hex[:8]}"
    place = boto3.resource("s3").create_bucket(Bucket=name)
    subprocess.run(["git", "init", "--quiet"], check=True)
    # As docs/how-to/scale.md has it: two commands.
    dvc("init", "--quiet")
    dvc("remote", "add", "store", str(folder / ".store" / "dvc"))
    dvc("remote", "add", "--default", "s3", f"s3://{name}/dvc")
    return place


def dvc(*words: str) -> None:
    """In this process: what has been imported once need not be again."""
    from dvc.cli import main as run

    assert run(list(words)) == 0


def kept(content: bytes) -> Path:
    """An object in the store."""
    digest = hashlib.md5(content).hexdigest()
    path = workspace.STORE / "dvc" / "files" / "md5" / digest[:2] / digest[2:]
    files.write(path, content)
    return path


def there(remote: Any) -> dict[str, bytes]:
    return {entry.key: entry.get()["Body"].read() for entry in remote.objects.all()}


def here() -> dict[str, bytes]:
    objects = workspace.STORE / "dvc"
    return {f"dvc/{path.relative_to(objects)}": path.read_bytes() for path in objects.rglob("??/*") if path.is_file()}


def test_a_kill_in_the_middle_costs_nothing(
    remote: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    for number in range(MANY):
        kept(f"{number}".encode() * 1000)
    environment = os.environ | {"PYTHONPATH": str(sample.ROOT / "src")}
    killed = subprocess.run([sys.executable, "-c", KILLED], env=environment, capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    before = len(there(remote))
    assert SOME <= before < MANY, "it was killed in the middle"
    spoilt = next(iter(remote.objects.all()))
    spoilt.put(Body=b"half")

    assert main(["migrate", "objects"]) == 0
    said = capsys.readouterr().out
    assert f"{MANY} object(s), " in said
    assert f"{MANY - before + 1} sent, {before - 1} there already; each was read back" in said
    assert there(remote) == here()
    assert main(["migrate", "objects"]) == 0
    assert f" 0 sent, {MANY} there already" in capsys.readouterr().out


def test_what_was_migrated_is_pulled_without_the_store(remote: Any, folder: Path) -> None:
    for name in ("one", "two", "three"):
        files.write(Path("data") / name, name * 1000)
    digest = files.digest(Path("data"))
    dvc("add", "--quiet", "data")
    dvc("push", "--quiet", "--remote", "store")
    assert main(["migrate", "objects"]) == 0
    assert sum(name.endswith(".dir") for name in there(remote)) == 1
    for gone in ("data", ".store", ".dvc/cache"):
        shutil.rmtree(gone)
    dvc("pull", "--quiet")
    assert files.digest(Path("data")) == digest


def test_an_object_that_is_broken_does_not_move(remote: Any, capsys: pytest.CaptureFixture) -> None:
    path = kept(b"right")
    path.write_bytes(b"wrong")
    assert main(["migrate", "objects"]) == 1
    assert capsys.readouterr().err.startswith(f"error: {path} does not match its digest; ")
    assert there(remote) == {}


def test_what_arrives_different_is_found(
    remote: Any, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dvc_s3 import S3FileSystem

    send = S3FileSystem.put_file

    def spoilt(self: Any, path: str, to: str, **more: Any) -> None:
        files.write(Path("cut"), Path(path).read_bytes()[:-1])
        send(self, "cut", to, **more)

    kept(b"right")
    monkeypatch.setattr(S3FileSystem, "put_file", spoilt)
    assert main(["migrate", "objects"]) == 1
    assert " came out different from " in capsys.readouterr().err


def test_the_store_is_no_place_to_move_to(remote: Any, capsys: pytest.CaptureFixture) -> None:
    dvc("remote", "default", "store")
    assert main(["migrate", "objects"]) == 1
    assert capsys.readouterr().err == (
        "error: DVC's default remote is the store itself; `dvc remote add --default NAME URL` sets another one\n"
    )


def test_a_remote_that_cannot_be_reached_is_one_line(
    remote: Any, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept(b"right")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    assert main(["migrate", "objects"]) == 1
    said = capsys.readouterr().err.splitlines()
    # On a busy machine it also says how long it takes.
    said = [line for line in said if not line.startswith("  migrate objects … ")]
    assert len(said) == 1
    assert said[0].startswith(f"error: DVC's remote s3://{remote.name}/dvc/files/md5 cannot be used: Could not connect")
