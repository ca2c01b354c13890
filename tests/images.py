"""Images of the service, built without a network: the base image, the build's context with its wheels, the build."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock
from sample import ROOT

PACKAGES = "python3,python3-venv,ca-certificates"


def docker(*words: str, code: int | None = 0) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"DOCKER_BUILDKIT": "0"}  # the engine's own builder: buildx is not everywhere
    done = subprocess.run(["docker", *words], capture_output=True, text=True, env=environment, check=False)
    assert code is None or done.returncode == code, done.stdout[-2000:] + done.stderr[-2000:]
    return done


def base() -> str:
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
