"""What a service is started with: the libraries of its own lock, and no secret of the job that starts it."""

import subprocess
import sys
from pathlib import Path

import made
import pytest

from delivery.core.errors import Failure
from delivery.registry import bundle


def test_the_libraries_of_a_lock_are_installed_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "HOME", folder / "libraries")
    lock = made.ROOT / "requirements" / "serve.txt"
    installed: list[Path] = []
    real = bundle.install

    def noted(lock: Path, to: Path) -> None:
        installed.append(lock)
        real(lock, to)

    monkeypatch.setattr(bundle, "install", noted)
    python = bundle.python(lock)
    assert bundle.python(lock) == python
    assert installed == [lock]
    asked = "import fastapi, importlib.util, onnxruntime; print(importlib.util.find_spec('pandas'), onnxruntime.__version__)"
    said = subprocess.run([python, "-c", asked], capture_output=True, text=True, check=True).stdout.split()
    assert said[0] == "None", "nothing but what the lock names"
    assert f"onnxruntime=={said[1]} " in lock.read_text()


def test_a_lock_that_cannot_be_installed_leaves_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "HOME", folder / "libraries")
    Path("lock.txt").write_text("numpy==2.0.0\n")  # without a hash
    with pytest.raises(Failure, match="the release's libraries cannot be installed: "):
        bundle.python(Path("lock.txt"))
    assert [path.name for path in (folder / "libraries").iterdir()] == ["lock"]


def test_a_service_inherits_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GITHUB_TOKEN", "SERVE_TOKENS", "AWS_SECRET_ACCESS_KEY", "ACTIONS_RUNTIME_TOKEN", "SERVE_TOKEN"):
        monkeypatch.setenv(name, "secret")
    monkeypatch.setenv("RUNNER_TRACKING_ID", "github_1")
    given = bundle.environment(Path("somewhere"))
    assert "secret" not in given.values()
    assert given["RUNNER_TRACKING_ID"] == "", "else a runner ends it with its job"
    assert given["PYTHONPATH"] == str(Path("somewhere/src").resolve())
    assert "SERVE_TOKENS" not in given, "what an environment asks for is part of its state: tokens.py"


def test_the_command_names_its_own_python(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "python", lambda lock: Path("/own") / lock)
    words = bundle.command(Path("code"), Path("model"), 8000, "7", "--drain", "0")
    assert words[:3] == ["/own/code/requirements.txt", "-m", "delivery.service"]
    assert words[3:] == ["--model", "model", "--port", "8000", "--version", "7", "--drain", "0"]
    assert words[0] != sys.executable
