"""Which versions a pull request of newer dependencies raises, and what it says of them."""

import datetime
import os
from pathlib import Path

import made
import pytest

from delivery.__main__ import main
from delivery.ci import bump, refresh
from delivery.core.errors import Failure
from delivery.pull_requests import proposal

OLD, NEW = (f"sha256:{digit * 64}" for digit in "ab")
DOCKERFILE = f"# words\nARG BASE_IMAGE=python:3.11-slim@{OLD}\nFROM ${{BASE_IMAGE}} AS root\n"
TODAY = datetime.date(2026, 11, 29)
LOCK = "fastapi==1.0 \\\n    --hash=sha256:aa\nnumpy==2.0\nold==1.0\n"
NEWER = "fastapi==1.1 \\\n    --hash=sha256:bb\nnumpy==2.0\nnew==1.0\n"
# Keeps what it was asked, a line each time, and then does what the file `script` says.
MAKEFILE = "lock:\n\t@echo '$(UPGRADE)' >> asked; sh script\n"


@pytest.fixture
def project(repository: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a lock, a Dockerfile and a program `docker`, and nothing newer than what it has."""
    Path("requirements").mkdir()
    Path("requirements/serve.txt").write_text(LOCK)
    Path("Dockerfile").write_text(DOCKERFILE)
    Path("Makefile").write_text(MAKEFILE)
    made.commit("Locks")
    Path("script").touch()
    (repository / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{repository / 'bin'}{os.pathsep}{os.environ['PATH']}")
    registry(f'echo \'{{"mediaType": "application/json", "digest": "{OLD}", "size": 1}}\'')
    return repository


def registry(script: str) -> None:
    """Let the image registry answer so, if it is asked for the tag."""
    asked = "buildx imagetools inspect python:3.11-slim --format {{json .Manifest}}"
    program = Path("bin/docker")
    version = '[ "$*" != "buildx version" ] || { [ ! -e no-buildx ]; exit; }'
    program.write_text(f"#!/bin/sh\n{version}\n[ \"$*\" = '{asked}' ] || exit 9\n{script}\n")
    program.chmod(0o755)


def index(text: str) -> None:
    """Let the package index have these versions."""
    Path("next.txt").write_text(text)
    Path("script").write_text("cp next.txt requirements/serve.txt\n")


def test_newer_versions_are_written_and_printed(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["bump"])
    assert capsys.readouterr().out == "bump: nothing is newer\n"
    assert Path("Dockerfile").read_text() == DOCKERFILE
    index(NEWER)
    registry(f'echo \'{{"digest":"{NEW}"}}\'')
    main(["bump"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == ["fastapi: 1.0 -> 1.1", "new: new -> 1.0", "old: 1.0 -> removed"]
    assert lines[3] == f"base image: {OLD[:19]} -> {NEW[:19]}"
    assert "run `delivery reproduce`" in lines[-1]
    assert Path("Dockerfile").read_text() == DOCKERFILE.replace(OLD, NEW)


def test_a_tag_without_a_digest_gets_one_and_another_form_stays(project: Path) -> None:
    assert bump.raised_base(DOCKERFILE.replace(f"@{OLD}", "")) == DOCKERFILE
    assert bump.raised_base("FROM python:3.11-slim\n") == ""


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo 'unexpected status: 503' >&2; exit 1", r"the registry of python:3\.11-slim does not answer: unexpected status: 503; "),
        ("echo '{}'", r"names no digest of python:3\.11-slim; run this again"),
        ('echo \'{"digest": "none"}\'', r"names no digest of python:3\.11-slim; run this again"),
    ],
)  # fmt: skip
def test_an_image_registry_that_does_not_answer_is_named_before_a_lock_changes(
    script: str, message: str, project: Path
) -> None:
    index(NEWER)
    registry(script)
    with pytest.raises(Failure, match=message):
        bump.raised_base(DOCKERFILE)
    assert main(["bump"]) == 1
    assert Path("requirements/serve.txt").read_text() == LOCK


def test_docker_without_its_plugin_is_named(project: Path) -> None:
    registry("echo \"Run 'docker --help' for more information\" >&2; exit 125")
    Path("no-buildx").touch()
    with pytest.raises(Failure, match="install the plugin docker-buildx"):
        bump.raised_base(DOCKERFILE)


def test_the_base_image_stays_where_the_locks_cannot_be_raised(project: Path) -> None:
    registry(f'echo \'{{"digest":"{NEW}"}}\'')
    Path("script").write_text("exit 2\n")
    assert main(["bump"]) == 1
    assert Path("Dockerfile").read_text() == DOCKERFILE


@pytest.mark.parametrize(
    ("said", "fix"),
    [
        ("error: Failed to fetch: https://index/numpy/\n  cause: Connection refused", "the package index did not answer; run this"),
        ("hint: `numpy` was filtered by `exclude-newer`", "`--days 0`, in the workflow the variable BUMP_DAYS"),
        ("hint: building from source is disabled (i.e., with `--no-build`)", "raise it on your machine"),
        ("error: No solution found\n  cause: old<2 and new>2", "change the bound in pyproject.toml"),
    ],
)  # fmt: skip
def test_why_a_lock_cannot_be_raised_is_one_line_with_what_helps(said: str, fix: str, project: Path) -> None:
    Path("said").write_text(f"{said}\n")
    Path("script").write_text("cat said >&2; exit 2\n")
    with pytest.raises(Failure) as failure:
        bump.raise_locks(7, TODAY)
    reason, _, advice = str(failure.value).rpartition("; ")
    assert " ".join(said.split()) in reason
    assert fix in str(failure.value)
    assert advice
    assert "\n" not in str(failure.value)
    assert "make:" not in str(failure.value)


def test_no_release_is_younger_than_a_week_but_one_that_is_locked_already(project: Path) -> None:
    bump.raise_locks(7, TODAY)
    week = "--upgrade --no-build --exclude-newer 2026-11-22"
    assert Path("asked").read_text().splitlines() == [week]
    Path("requirements/serve.txt").write_text(LOCK.replace("2.0", "2.10"))  # the day before yesterday, for its fix
    index(NEWER.replace("2.0", "2.9"))
    bump.raise_locks(7, TODAY)
    assert Path("asked").read_text().splitlines()[1:] == [week, f"{week} --exclude-newer-package numpy=2026-11-29"]
    Path("asked").unlink()
    index(LOCK)
    bump.raise_locks(0, TODAY)
    assert Path("asked").read_text().splitlines() == ["--upgrade --no-build"]


@pytest.mark.parametrize("dispatch", [True, False])
def test_what_is_newer_is_proposed_and_its_report_started(
    dispatch: bool, project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    offered, started = [], []

    def offer(kind, name, title, why, make):
        offered.append((kind, title.replace(name, "NAME"), make("a branch")))
        return "#7 is opened", proposal.Done("bump/1", 7, "address", "opened", "c" * 40)

    monkeypatch.setattr(proposal, "offer", offer)
    monkeypatch.setattr(bump.github, "ask", lambda *words: {"asked": words})
    monkeypatch.setattr(refresh, "start_report", lambda pull, branch: started.append((pull, branch)))
    index(NEWER)
    main(["bump", "--propose", "--dispatch" if dispatch else "--no-dispatch"])
    assert capsys.readouterr().out.endswith("bump: #7 is opened\n")
    ((kind, title, text),) = offered
    assert kind.changes == ("requirements", "Dockerfile")
    assert title == "Raise 3 dependencies (NAME)"
    assert "younger than 7 days" in text
    assert text.endswith("| `fastapi` | `1.0` | `1.1` |\n| `new` | new | `1.0` |\n| `old` | `1.0` | removed |\n")
    assert started == ([({"asked": ("GET", "/pulls/7")}, "bump/1")] if dispatch else [])


def test_a_long_table_ends_with_how_much_is_left_out() -> None:
    text = bump.body({f"name{number}": ("1", "2") for number in range(203)}, 0)
    assert "| `name199` |" in text
    assert "name200" not in text
    assert "... and 3 more." in text
    assert "days" not in text
