"""The few questions that are put to git."""

from pathlib import Path

import made
import pytest

from delivery.adapters import git
from delivery.core.errors import Failure


def test_nothing_has_changed_after_a_commit(repository: Path) -> None:
    assert git.changed() == []


@pytest.mark.parametrize("name", ["a.py", "with space.py", "möglich.py", 'quo"te.py', " leading.py"])
def test_a_changed_file_is_named_as_it_is(name: str, repository: Path) -> None:
    (repository / "src").mkdir()
    (repository / "src" / name).write_text("new")
    (repository / "src" / "b.py").write_text("same")
    made.git("add", "src/b.py")
    made.git("commit", "--quiet", "--message", "One")
    assert git.changed() == [f"src/{name}"]
    made.commit("Both")
    (repository / "src" / name).write_text("changed")
    assert git.changed() == [f"src/{name}"]


def test_a_file_that_is_staged_as_deleted_and_there_again_is_named_once(repository: Path) -> None:
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


def test_what_the_records_do_not_name_may_change(repository: Path) -> None:
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


def test_a_failure_says_what_git_said(repository: Path) -> None:
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
def test_a_revision_that_is_none_is_refused_with_the_fix(revision: str, repository: Path) -> None:
    with pytest.raises(Failure, match="is no commit here; fetch it, or name another with --base"):
        git.resolve(revision)


def test_precedes(repository: Path) -> None:
    first, second = made.commit("One"), made.commit("Two")
    assert git.precedes(first, second)
    assert not git.precedes(second, first)
    assert not git.precedes(first, first)
    assert not git.precedes("0" * 40, first)
