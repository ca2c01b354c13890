"""The image: built, started as it is meant to be, looked into, stopped. Needs a Docker engine."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import small
from filelock import FileLock
from live import ask
from msgspec.structs import replace
from sample import ROOT
from test_access import wait_until

from delivery.core import params
from delivery.core.errors import Failure
from delivery.deploy.targets import host, proxy, slots
from delivery.deploy.targets.state import Slot
from delivery.probe import contract
from delivery.service.log import read

# With those of tests/deploy in one worker: a build beside them takes the cores that their load needs.
pytestmark = pytest.mark.xdist_group("registry")
PACKAGES = "python3,python3-venv,ca-certificates"
OTHERS = 125e6  # bytes of the base image that is meant: python:3.11-slim


def docker(*words: str, code: int | None = 0) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"DOCKER_BUILDKIT": "0"}  # the engine's own builder: buildx is not everywhere
    done = subprocess.run(["docker", *words], capture_output=True, text=True, env=environment, check=False)
    assert code is None or done.returncode == code, done.stdout[-2000:] + done.stderr[-2000:]
    return done


@pytest.fixture(scope="session")
def base(needs_docker: None) -> str:
    """The base image of the Dockerfile where it can be pulled, else one made of the system's packages."""
    meant = next(line for line in (ROOT / "Dockerfile").read_text().splitlines() if line.startswith("ARG BASE_IMAGE="))
    name = meant.removeprefix("ARG BASE_IMAGE=")
    if not docker("pull", "--quiet", name, code=None).returncode:
        return name
    with FileLock("/tmp/delivery-test-base.lock"):
        if not docker("image", "inspect", "delivery-test-base", code=None).returncode:
            return "delivery-test-base"
        if not shutil.which("mmdebstrap"):
            pytest.skip(
                "the base image cannot be pulled, and mmdebstrap is missing to make one: the image is not tested"
            )
        tar = "/tmp/delivery-test-base.tar"
        command = ["mmdebstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", tar]
        subprocess.run(command, check=True, capture_output=True)
        docker("import", tar, "delivery-test-base")
    return "delivery-test-base"


@pytest.fixture(scope="session")
def context(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The build's context with the wheels in it, so that a build needs no network; and a secret that must stay out."""
    folder = tmp_path_factory.mktemp("context")
    fill(folder, exported, "serve")
    (folder / ".env").write_text("SECRET=1")
    (folder / "src" / "problem" / "__pycache__").mkdir(exist_ok=True)
    return folder


def fill(folder: Path, exported: Path, requirements: str) -> None:
    """What a build sends: the repository, a model, and the wheels of one set."""
    for name in ("Dockerfile", ".dockerignore", "params.yaml"):
        shutil.copy2(ROOT / name, folder)
    for name in ("requirements", "src"):
        shutil.copytree(ROOT / name, folder / name)
    shutil.copytree(exported, folder / "artifacts" / "export")
    wheels = ROOT / ".cache" / "wheels" / requirements
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--require-hashes",
        "--no-deps",
        "--only-binary",
        ":all:",
    ]
    command += ["--find-links", str(wheels), "--dest", str(wheels)]
    command += ["--requirement", str(ROOT / "requirements" / f"{requirements}.txt")]
    wheels.mkdir(parents=True, exist_ok=True)
    subprocess.run(command, check=True, capture_output=True)
    shutil.copytree(wheels, folder / "wheels")


def build(context: Path, base: str, tag: str, *words: str) -> str:
    told = {
        "BASE_IMAGE": base,
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": "/build",
        "COMMIT": "c0ffee",
        "VERSION": "7",
        "DATA": "da7a",
    }
    arguments = [word for name, value in told.items() for word in ("--build-arg", f"{name}={value}")]
    docker("build", "--quiet", "--network", "none", *words, *arguments, "--tag", tag, str(context))
    return tag


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
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


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
    mine = json.loads(docker("image", "inspect", image).stdout)[0]["Id"]
    place = params.Place(target="docker", port=port, folder=str(tmp_path))
    with host.opened("trial", place, params.load(ROOT / "params.yaml").deploy) as there:

        def start(version: str, image: str = mine) -> None:
            with host.returning(there):
                there.begin(Slot("", 0, version, "digest", image), exported)
                assert contract.check(slots.url(there.candidate), exported, None, version)
                there.share(100)
            there.keep()

        try:
            yield there, start
        finally:
            proxy.stop(there.folder)
            for side in proxy.SLOTS:
                slots.stop(there.folder, side, engine=True)
                docker("volume", "rm", f"{slots.container(there.folder, side)}-log", code=None)


def test_it_takes_the_place_of_another_on_a_host_and_gives_it_back(
    trial: tuple[host.Host, Callable[..., None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine or an image that is not there leaves what serves."""
    there, start = trial
    for version in ("1", "2"):
        start(version)
        assert ask(f"{there.url}/version").json["version"] == version
        assert there.state.serving
        assert shares(slots.container(there.folder, there.state.serving.name)) == slots.SHARES
    with pytest.raises(Failure, match="cannot be had: .*; version 2 goes on serving trial"):
        start("3", "127.0.0.1:9/gone@sha256:" + "0" * 64)
    for engine, why in (
        ("unix:///none", "engine does not answer: .*"),
        ("ssh://elsewhere", "run this on the engine's"),
    ):
        with monkeypatch.context() as other:
            other.setenv("DOCKER_HOST", engine)
            with pytest.raises(Failure, match=f"{why}.*; version 2 goes on serving trial"):
                start("1")
    assert ask(f"{there.url}/version").json["version"] == "2"
    assert there.state.candidate is None


def test_an_engine_that_goes_away_in_the_middle_leaves_what_serves(
    trial: tuple[host.Host, Callable[..., None]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    there, start = trial
    start("1")
    engine = tmp_path / "engine"
    engine.symlink_to("/var/run/docker.sock")
    run = slots._run

    def gone(folder: Path, slot: Slot) -> None:
        run(folder, slot)
        assert shares(slots.container(folder, slot.name)) == slots.FEW_SHARES  # what serves comes first
        engine.unlink()

    why = "version 2 did not become ready: .*; version 1 goes on serving trial; what is left of the other one "
    with monkeypatch.context() as cut:
        cut.setenv("DOCKER_HOST", f"unix://{engine}")
        cut.setattr(slots, "_run", gone)
        with pytest.raises(Failure, match=why):
            start("2")
    assert ask(f"{there.url}/version").json["version"] == "1"
    there.settle(lambda: "1")
    assert "version 2 was left half-way; it is removed" in capsys.readouterr().out
    names = docker("ps", "--all", "--format", "{{.Names}}").stdout.split()
    assert there.state.serving
    assert [name for name in names if name.startswith(slots.container(there.folder, ""))] == [
        slots.container(there.folder, there.state.serving.name)
    ]
    start("2")
    assert ask(f"{there.url}/version").json["version"] == "2"
