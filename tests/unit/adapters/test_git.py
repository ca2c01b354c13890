"""Git: changed files, revisions, and the reason of a failure."""

from pathlib import Path

import made
import pytest

from delivery.adapters import git
from delivery.core.errors import Failure


def test_nothing_has_changed_after_a_commit(repository: Path) -> None:
    assert git.changed() == []


@pytest.mark.parametrize("name", ["a.py", "with space.py", "möglich.py", 'quo"te.py', " leading.py"])
def test_the_name_of_a_changed_file_is_not_quoted(name: str, repository: Path) -> None:
    (repository / "src").mkdir()
    (repository / "src" / name).write_text("new")
    (repository / "src" / "b.py").write_text("same")
    made.git("add", "src/b.py")
    made.git("commit", "--quiet", "--message", "One")
    assert git.changed() == [f"src/{name}"]
    made.commit("Both")
    (repository / "src" / name).write_text("changed")
    assert git.changed() == [f"src/{name}"]


def test_a_file_that_is_staged_as_deleted_and_exists_again_is_named_once(repository: Path) -> None:
    (repository / "dvc.lock").write_text("one")
    made.commit()
    made.git("rm", "--quiet", "--cached", "dvc.lock")
    assert git.changed() == ["dvc.lock"]


def test_every_kind_of_change_is_seen(repository: Path) -> None:
    for name in ("params.yaml", "dvc.yaml", "dvc.lock", "data.dvc"):
        (repository / name).write_text(name)
    made.commit()
    (repository / "params.yaml").write_text("changed")
    (repository / "dvc.yaml").unlink()
    made.git("mv", "dvc.lock", "src")
    (repository / "data.dvc").write_text("staged")
    made.git("add", "data.dvc")
    assert sorted(git.changed()) == ["data.dvc", "dvc.lock", "dvc.yaml", "params.yaml", "src"]


def test_files_that_are_not_recorded_may_change(repository: Path) -> None:
    (repository / "README.md").write_text("changed")
    assert git.changed() == []


def test_a_repository_without_a_commit(folder: Path) -> None:
    made.git("init", "--quiet")
    assert git.head() is None
    assert git.remote() is None


def test_a_folder_without_a_repository(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(folder.parent))
    assert git.head() is None
    assert git.changed() == []


def test_a_failure_has_gits_own_reason(repository: Path) -> None:
    with pytest.raises(Failure, match="git checkout nowhere: error: pathspec 'nowhere' did not match any file"):
        git.git("checkout", "nowhere")


def test_show_and_resolve(repository: Path) -> None:
    first = git.head()
    (repository / "a b.txt").write_text("new")
    made.commit("Second")
    assert git.show("HEAD", "a b.txt") == "new"
    assert git.show("HEAD~1", "a b.txt") is None
    assert git.resolve("HEAD~1") == first


@pytest.mark.parametrize("revision", ["nowhere", "--all", "0" * 40, ""])
def test_an_unknown_revision_is_refused_with_the_fix(revision: str, repository: Path) -> None:
    with pytest.raises(Failure, match="is not a commit of this repository; fetch it, or name another with --base"):
        git.resolve(revision)


def test_precedes(repository: Path) -> None:
    first, second = made.commit("One"), made.commit("Two")
    assert git.precedes(first, second)
    assert not git.precedes(second, first)
    assert not git.precedes(first, first)
    assert not git.precedes("0" * 40, first)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://x-access-token:secret@github.com/acme/demo.git", "https://github.com/acme/demo.git"),
        ("https://secret@github.com/acme/demo", "https://github.com/acme/demo"),
        ("ssh://git@github.com:22/acme/demo", "ssh://github.com:22/acme/demo"),
        ("https://github.com/acme/demo?token=secret", "https://github.com/acme/demo"),
        ("git@github.com:acme/demo.git", "git@github.com:acme/demo.git"),
        ("/srv/git/demo", "/srv/git/demo"),
    ],
)
def test_no_secret_of_the_remote_is_recorded(address: str, shown: str, repository: Path) -> None:
    assert git.public_remote() == ""
    made.git("remote", "add", "origin", address)
    assert git.public_remote() == shown
    assert git.remote() == address, "the store is still pushed with it"
