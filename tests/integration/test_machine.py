"""What a machine can refuse: disk, permission, port. One clear line, a non-zero exit, nothing half-written."""

import resource
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import optional
import pytest
import sample

from delivery.__main__ import main
from delivery.core.files import digest

SPACE = 64 * 1024  # bytes: less than any of these outputs


def mounted(project: Path, folder: str, mount: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Runs delivery where `folder` is mounted so, and then lists what is there. The mount ends with the command."""
    script = f'{mount}\n"$@"\ncode=$?\necho "left: $(ls -A {folder})"\nexit $code'
    command = [*optional.unshare(), "sh", "-c", script, "sh", sys.executable, "-m", "delivery", *words]
    return subprocess.run(
        command, cwd=project, env=sample.environment(project), capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(("stage", "folder"), [("prepare", "artifacts"), ("validate", "reports")])
def test_a_full_disk_is_one_line_and_nothing_is_left(stage: str, folder: str, project: Path) -> None:
    size = SPACE if folder == "artifacts" else 4096  # a page: the smallest disk there is, and the folder takes it
    done = mounted(project, folder, f"mount -t tmpfs -o size={size},nr_inodes=4 tmpfs {folder}", stage)
    assert done.returncode == 1
    assert done.stderr.startswith("error: "), done.stderr
    assert done.stderr.count("\n") == 1
    assert "No space left on device" in done.stderr
    assert done.stdout.endswith("left: \n"), done.stdout


@pytest.mark.parametrize(("stage", "folder"), [("prepare", "artifacts"), ("validate", "reports")])
def test_a_read_only_disk_is_one_line_that_names_the_place(stage: str, folder: str, project: Path) -> None:
    before = digest(project / folder)
    mount = f"mount --bind {folder} {folder} && mount -o remount,bind,ro {folder}"
    done = mounted(project, folder, mount, stage)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: Read-only file system {folder}/"), done.stderr
    assert done.stderr.count("\n") == 1
    assert digest(project / folder) == before


@pytest.mark.parametrize("stage", ["prepare", "train"])
def test_an_output_that_cannot_be_written_leaves_the_one_before(stage: str, project: Path) -> None:
    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))

    before = {folder: digest(project / folder) for folder in ("artifacts", "reports")}
    done = limited(project, small_files, stage)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: "), done.stderr
    assert "Traceback" not in done.stderr
    assert "File too large" in done.stderr
    assert {folder: digest(project / folder) for folder in before} == before
    assert not [path for path in project.rglob("*.scratch") if ".git" not in path.parts]


def limited(project: Path, limit: Callable[[], None], *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "delivery", *words],
        cwd=project,
        env=sample.environment(project) | {"PYTHONDONTWRITEBYTECODE": "1"},
        preexec_fn=limit,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_port_in_use_is_one_line_with_the_fix(project: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = sample.run(project, "serve", "--port", port, code=1)
    assert done.stderr.startswith(f"error: cannot listen on 127.0.0.1:{port} (")
    assert "Address already in use" in done.stderr
    assert done.stderr.endswith("; choose another with --port\n")
    assert (done.stderr.count("\n"), done.stdout) == (1, "")


def test_outside_the_repository_one_line_says_where_to_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["gate"]) == 1
    assert capsys.readouterr().err == "error: params.yaml is missing; run this from the repository's root\n"
