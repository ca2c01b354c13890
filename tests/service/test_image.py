"""The image: built, started as it is meant to be, looked into, stopped. Needs a Docker engine."""

import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import images
import pandas as pd
import pytest
import small
from images import build, docker, fill
from live import ask
from msgspec.structs import replace
from sample import ROOT
from test_access import wait_until

from delivery.core import params
from delivery.core.errors import Failure
from delivery.deploy import mirror, rollout
from delivery.deploy.targets import container as engine
from delivery.deploy.targets import host, proxy, slots
from delivery.deploy.targets.loopback import free_port
from delivery.deploy.targets.state import Slot
from delivery.deploy.targets.target import Release
from delivery.probe import contract
from delivery.registry import release
from delivery.service.log import read

# With those of tests/deploy in one worker: a build beside them takes the cores that their load needs.
pytestmark = pytest.mark.xdist_group("registry")
OTHERS = 125e6  # bytes of the base image that is meant: python:3.11-slim


@pytest.fixture(scope="session")
def base(needs_docker: None) -> str:
    return images.base()


@pytest.fixture(scope="session")
def context(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The build's context with the wheels in it, so that a build needs no network; and a secret that must stay out."""
    folder = tmp_path_factory.mktemp("context")
    fill(folder, exported, "serve")
    (folder / ".env").write_text("SECRET=1")
    (folder / "src" / "problem" / "__pycache__").mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def image(context: Path, base: str) -> str:
    return build(context, base, "delivery:test")


@pytest.fixture(scope="session")
def config(image: str) -> dict[str, Any]:
    return json.loads(docker("image", "inspect", image).stdout)[0]


@contextmanager
def container(image: str, port: int, *words: str) -> Iterator[tuple[str, str]]:
    """Name and address of a running container with as few rights as it is meant to have."""
    name = f"delivery-test-{os.getpid()}-{port}"
    command = ["run", "--detach", "--name", name, "--network", "host", "--read-only", "--cap-drop", "ALL"]
    command += ["--security-opt", "no-new-privileges", "--env", "SERVE_HOST=127.0.0.1", "--env", f"SERVE_PORT={port}"]
    try:
        docker(*command, *words, image)
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: answers(url), seconds=30)
        yield name, url
    finally:
        docker("rm", "--force", name, code=None)


def answers(url: str) -> bool:
    try:
        return ask(f"{url}/health/ready").status == 200
    except OSError:
        return False


@pytest.fixture
def port() -> int:
    return free_port()


def test_it_keeps_the_contract_with_a_token_and_no_right(image: str, exported: Path, port: int) -> None:
    with container(image, port, "--env", "SERVE_TOKENS=secret") as (_, url):
        findings = contract.check(url, exported, "secret", "7")
        assert [finding for finding in findings if not finding.ok] == []
        about = ask(f"{url}/version", authorization="Bearer secret").json
        assert (about["commit"], about["data"]) == ("c0ffee", "da7a")


def test_it_refuses_to_stand_open_and_says_how_to_allow_it(image: str) -> None:
    done = docker("run", "--rm", "--read-only", "--network", "host", "--env", "SERVE_PORT=0", image, code=1)
    assert "SERVE_TOKENS" in done.stderr
    assert "SERVE_OPEN=yes" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_stop_is_graceful_and_flushes_the_log(image: str, good: dict, port: int, tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    words = ("--env", "SERVE_LOG=/log", "--volume", f"{tmp_path}:/log")
    with container(image, port, *words) as (name, url):
        ids = {ask(f"{url}/predict", good).headers["x-request-id"] for _ in range(20)}
        docker("stop", "--time", "20", name)
        state = json.loads(docker("inspect", name).stdout)[0]["State"]
        assert state["ExitCode"] == 0
        assert not state["OOMKilled"]
    assert {line.id for line in read(tmp_path)} == ids


def test_its_health_check_sees_it(image: str, port: int) -> None:
    with container(image, port, "--health-interval", "200ms") as (name, _):

        def health() -> str:
            return json.loads(docker("inspect", name).stdout)[0]["State"]["Health"]["Status"]

        wait_until(lambda: health() == "healthy", seconds=20)


def test_who_it_is(config: dict[str, Any]) -> None:
    settings = config["Config"]
    assert settings["User"] == "10001:10001"
    assert settings["StopSignal"] == "SIGTERM"
    assert settings["Labels"]["org.opencontainers.image.revision"] == "c0ffee"
    assert settings["Labels"]["org.opencontainers.image.version"] == "7"
    assert settings["Labels"]["delivery.data"] == "da7a"
    assert not any("/bin/sh" in word for word in settings["Entrypoint"] + settings["Healthcheck"]["Test"])


LOOK = """
import importlib.util, json, os, shutil, sys
programs = [name for name in ("pip", "pip3", "gcc", "cc", "ld", "make") if shutil.which(name)]
modules = [name for name in ("pip", "setuptools", "ensurepip", "pandas", "sklearn", "mlflow", "dvc", "onnx", "skl2onnx")
           if importlib.util.find_spec(name)]
size = sum(os.lstat(os.path.join(folder, name)).st_size for folder, _, names in os.walk("/app") for name in names)
json.dump({"programs": programs, "modules": modules, "size": size, "app": sorted(os.listdir("/app")),
           "delivery": sorted(os.listdir("/app/src/delivery")), "user": os.getuid()}, sys.stdout)
"""


def test_what_is_in_it(image: str) -> None:
    done = docker("run", "--rm", "--network", "none", "--read-only", "--entrypoint", "python3", image, "-c", LOOK)
    seen = json.loads(done.stdout)
    assert seen["programs"] == seen["modules"] == []
    assert seen["user"] == 10001
    assert seen["app"] == ["artifacts", "lib", "params.yaml", "src"]
    assert "__main__.py" not in seen["delivery"]  # the pipeline stays out, and with it what it imports
    assert seen["size"] + OTHERS < 250e6


def test_the_same_commit_gives_the_same_layer(image: str, context: Path, base: str, config: dict[str, Any]) -> None:
    again = build(context, base, "delivery:again", "--no-cache")
    layers = json.loads(docker("image", "inspect", again).stdout)[0]["RootFS"]["Layers"]
    assert layers == config["RootFS"]["Layers"]


def test_a_model_that_scikit_learn_serves_gets_its_libraries_and_answers(
    base: str,
    made: Path,
    pipeline: Any,
    rows: pd.DataFrame,
    tmp_path: Path,
    port: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`export.runtime: sklearn` needs no other command: the model says which of the locked sets it is loaded with."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "artifacts" / "train").mkdir(parents=True)
    shutil.copyfile(made / "model.skops", tmp_path / "artifacts" / "train" / "model.skops")
    small.write(pipeline, rows, tmp_path / "export", replace(small.ONNX, runtime="sklearn"))
    (tmp_path / "context").mkdir()
    fill(tmp_path / "context", tmp_path / "export", "sklearn")
    image = build(tmp_path / "context", base, "delivery:sklearn")
    with container(image, port) as (_, url):
        assert [finding for finding in contract.check(url, tmp_path / "export", "", "7") if not finding.ok] == []
        assert ask(f"{url}/health/ready").status == 200


def test_a_model_that_the_image_cannot_serve_fails_the_build(context: Path, base: str, tmp_path: Path) -> None:
    other = shutil.copytree(context, tmp_path / "context")
    (other / "artifacts/export/model.onnx").write_bytes(b"other")
    done = docker(
        "build", "--network", "none", "--build-arg", f"BASE_IMAGE={base}", "--build-arg", "PIP_NO_INDEX=1",
        "--build-arg", "PIP_FIND_LINKS=/build", str(other), code=None,
    )  # fmt: skip
    assert done.returncode
    assert "is not the file that manifest.json describes" in done.stdout + done.stderr


def shares(container: str) -> str:
    return docker("inspect", "--format", "{{.HostConfig.CpuShares}}", container).stdout.strip()


@pytest.fixture
def trial(
    needs_haproxy: None, image: str, exported: Path, port: int, tmp_path: Path
) -> Iterator[tuple[host.Host, Callable[..., None]]]:
    """An environment of containers behind the real proxy, and what starts a version there beside what serves."""
    version_files = tmp_path / "version"
    shutil.copytree(exported, version_files / "export")
    release.collect(exported, version_files / "release")
    mine = json.loads(docker("image", "inspect", image).stdout)[0]["Id"]
    place = params.Environment(target="docker", port=port, folder=str(tmp_path))
    with host.opened("trial", place, params.load(ROOT / "params.yaml").deploy) as there:

        def start(version: str, image: str = mine) -> None:
            with rollout.returning(there):
                there.start(Release(version, "digest", image), version_files)
                assert contract.check(slots.url(there.candidate), exported, None, version)
                there.shift(100)
            there.finish()

        try:
            yield there, start
        finally:
            proxy.stop(there.folder)
            for side in proxy.SLOTS:
                slots.stop(there.folder, side, engine=True)
                docker("volume", "rm", f"{engine.name_of(there.folder, side)}-log", code=None)


def test_it_takes_the_place_of_another_on_a_host_and_gives_it_back(
    trial: tuple[host.Host, Callable[..., None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine or an image that is not there leaves what serves."""
    there, start = trial
    for version in ("1", "2"):
        start(version)
        assert ask(f"{there.url}/version").json["version"] == version
        assert there.state.serving
        assert shares(engine.name_of(there.folder, there.state.serving.name)) == engine.SHARES
    with pytest.raises(Failure, match="is not available: .*; version 2 still serves trial"):
        start("3", "127.0.0.1:9/gone@sha256:" + "0" * 64)
    for address, why in (
        ("unix:///none", "engine does not answer: .*"),
        ("ssh://elsewhere", "run this on the engine's"),
    ):
        with monkeypatch.context() as other:
            other.setenv("DOCKER_HOST", address)
            with pytest.raises(Failure, match=f"{why}.*; version 2 still serves trial"):
                start("1")
    assert ask(f"{there.url}/version").json["version"] == "2"
    assert there.state.candidate is None


def test_the_log_of_a_container_is_followed_by_a_program_that_its_image_need_not_hold(
    trial: tuple[host.Host, Callable[..., None]], good: dict[str, Any]
) -> None:
    there, start = trial
    start("1")
    serving = there.state.serving
    assert serving
    stop = threading.Event()

    def clients() -> None:
        while not stop.wait(0.1):
            ask(f"{there.url}/predict", good, x_request_id="live-1")

    asking = threading.Thread(target=clients)
    asking.start()
    try:
        line = next(mirror.followed(there.folder, serving, 20))
    finally:
        stop.set()
        asking.join()
    assert (line.version, line.id, len(line.rows), len(line.scores)) == ("1", "live-1", 1, 1)


def test_an_engine_that_goes_away_in_the_middle_leaves_what_serves(
    trial: tuple[host.Host, Callable[..., None]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    there, start = trial
    start("1")
    socket = tmp_path / "engine"
    socket.symlink_to("/var/run/docker.sock")
    run = engine.run

    def gone(folder: Path, slot: Slot) -> None:
        run(folder, slot)
        assert shares(engine.name_of(folder, slot.name)) == engine.FEW_SHARES  # what serves comes first
        socket.unlink()

    why = "version 2 did not become ready: .*; version 1 still serves trial; the next deployment removes what is left of the other one "
    with monkeypatch.context() as cut:
        cut.setenv("DOCKER_HOST", f"unix://{socket}")
        cut.setattr(engine, "run", gone)
        with pytest.raises(Failure, match=why):
            start("2")
    assert ask(f"{there.url}/version").json["version"] == "1"
    there.settle(lambda: "1")
    assert "a command ended before version 2 was final; it is removed" in capsys.readouterr().out
    names = docker("ps", "--all", "--format", "{{.Names}}").stdout.split()
    assert there.state.serving
    assert [name for name in names if name.startswith(engine.name_of(there.folder, ""))] == [
        engine.name_of(there.folder, there.state.serving.name)
    ]
    start("2")
    assert ask(f"{there.url}/version").json["version"] == "2"
