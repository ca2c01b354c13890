"""`make setup`: what it installs, when it installs nothing, and when it starts over."""

import importlib.metadata
import shutil
import subprocess
from pathlib import Path

import made
import pytest

from delivery.__main__ import main

# Stands in for python3.11: a virtual environment whose Python writes down what it is asked.
PYTHON = """#!/bin/sh
echo "python $*" >> "$LOG"
if [ -L .venv ]; then rm -rf .venv/*; else rm -rf .venv; fi # as venv --clear does
mkdir -p .venv/bin
printf '#!/bin/sh\\necho "$*" >> "$LOG"\\n' > .venv/bin/python
chmod +x .venv/bin/python
"""


class Project:
    def __init__(self, folder: Path) -> None:
        self.folder, self.log = folder, folder.parent / "log"
        (folder / "requirements").mkdir(parents=True)
        for name in ("Makefile", "pyproject.toml"):
            shutil.copyfile(made.ROOT / name, folder / name)
        for name in ("setup", "dev", "pipeline", "scale", "s3", "gs", "azure"):
            (folder / "requirements" / f"{name}.txt").write_text(f"{name}==1\n")
        python = folder.parent / "python"
        python.write_text(PYTHON)
        python.chmod(0o755)

    def make(self, *words: str) -> list[str]:
        """What was run; pip's and uv's options left out."""
        self.log.write_text("")
        variables = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LOG": str(self.log)}
        command = ["make", f"PYTHON={self.log.parent / 'python'}", *words]
        subprocess.run(command, cwd=self.folder, env=variables, check=True, capture_output=True)
        lines = self.log.read_text().splitlines()
        return [line if line.startswith("python") else line.rpartition(" ")[2] for line in lines]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path / "project")


NEW = "python -m venv --clear .venv"
DEV = ["requirements/setup.txt", "requirements/dev.txt", "."]


def test_a_second_time_installs_nothing_whatever_the_dates_are(project: Project) -> None:
    assert project.make("setup") == [NEW, *DEV]
    for path in project.folder.rglob("*.t*"):
        path.touch()
    assert project.make("setup") == []
    assert project.make("setup", "REQUIREMENTS=dev") == []


@pytest.mark.parametrize("file", ["requirements/dev.txt", "requirements/setup.txt", "pyproject.toml"])
def test_a_change_of_what_it_installs_from_is_installed_over_the_old(project: Project, file: str) -> None:
    project.make("setup")
    with (project.folder / file).open("a") as lines:
        lines.write("# changed\n")
    assert project.make("setup") == DEV
    assert project.make("setup") == []


def test_sets_are_added_to_each_other_and_kept_apart(project: Project) -> None:
    assert project.make("setup", "REQUIREMENTS=pipeline") == [NEW, DEV[0], "requirements/pipeline.txt", "."]
    assert project.make("setup") == DEV
    assert project.make("scale") == [DEV[0], "requirements/scale.txt", "."]
    assert project.make("scale") == project.make("setup") == []
    assert project.make("setup", "REQUIREMENTS=dev scale") == []


@pytest.mark.parametrize("kind", ["s3", "gs", "azure"])
def test_a_remote_in_a_bucket_brings_what_dvc_needs_for_it(project: Project, kind: str) -> None:
    config = project.folder / ".dvc" / "config"
    config.parent.mkdir()
    config.write_text(
        "[core]\n    remote = bucket\n['remote \"store\"']\n    url = ../.store/dvc\n"
        f"['remote \"bucket\"']\n    url = {kind}://models/dvc\n    endpointurl = https://s3.example.com\n"
    )
    assert project.make("setup") == [NEW, *DEV, DEV[0], f"requirements/{kind}.txt", "."]
    assert project.make("setup") == []
    assert project.make("setup", "REQUIREMENTS=pipeline")[1:2] == ["requirements/pipeline.txt"]


def test_the_repositorys_own_remote_needs_nothing_more(project: Project) -> None:
    shutil.copytree(made.ROOT / ".dvc", project.folder / ".dvc", ignore=lambda _, names: {*names} - {"config"})
    assert project.make("setup") == [NEW, *DEV]


def test_an_environment_of_another_folder_or_interpreter_is_built_anew(project: Project) -> None:
    project.make("scale")
    project.folder = project.folder.rename(project.folder.with_name("renamed"))
    assert project.make("setup") == [NEW, *DEV]
    assert not (project.folder / ".venv" / "ready-scale").exists()
    (project.folder / ".venv" / "bin" / "python").unlink()
    assert project.make("setup") == [NEW, *DEV]


def test_a_link_to_the_environment_of_another_folder_is_replaced_and_the_other_one_left(
    project: Project, tmp_path: Path
) -> None:
    """venv --clear empties the folder that a link leads to."""
    other = tmp_path / "other"
    (other / "bin").mkdir(parents=True)
    shutil.copyfile("/bin/sh", other / "bin" / "python")
    (other / "bin" / "python").chmod(0o755)
    (other / "ready-dev").write_text(f"{tmp_path / 'elsewhere'} 123\n")
    (project.folder / ".venv").symlink_to(other)
    assert project.make("setup") == [NEW, *DEV]
    assert not (project.folder / ".venv").is_symlink()
    assert (other / "bin" / "python").exists()


def test_an_environment_that_a_person_made_is_kept(project: Project) -> None:
    project.make("setup")
    (project.folder / ".venv" / "ready-dev").unlink()
    assert project.make("setup") == DEV


def test_a_failed_installation_is_tried_again(project: Project) -> None:
    project.make("setup")
    (project.folder / ".venv" / "ready-dev").unlink()
    python = project.folder / ".venv" / "bin" / "python"
    works = python.read_text()
    python.write_text("#!/bin/sh\nexit 1\n")
    with pytest.raises(subprocess.CalledProcessError):
        project.make("setup")
    python.write_text(works)
    assert project.make("setup") == DEV


def test_the_machinery_is_laid_into_a_folder_that_the_checked_out_branch_does_not_have_yet(tmp_path: Path) -> None:
    """A job of trusted code works in the folder of a model that only the pull request's branch has."""
    folder = tmp_path / "models" / "größe und preis"
    subprocess.run(["make", "--no-print-directory", "lay", f"INTO={folder}"], cwd=made.ROOT, check=True)
    assert (folder / "src" / "delivery" / "__main__.py").exists()
    assert (folder / "Makefile").read_text() == (made.ROOT / "Makefile").read_text()


def test_the_command_is_the_command_line() -> None:
    (command,) = importlib.metadata.entry_points(group="console_scripts", name="delivery")
    assert command.load() is main
