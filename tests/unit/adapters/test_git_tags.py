"""Tags on the remote: what they say is read back, follows the remote, and is kept for when it does not answer."""

import shutil
from pathlib import Path
from typing import Any

import made
import pytest

from delivery.adapters import git, git_tags
from delivery.core import workspace
from delivery.core.errors import Failure


@pytest.fixture
def remote(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bare repository that the current folder was pushed to."""
    return made.remote(tmp_path_factory.mktemp("hub"))


def head() -> str:
    return made.git("rev-parse", "HEAD").strip()


def forget() -> None:
    """The tags were asked a while ago."""
    git_tags._asked.clear()


def test_what_was_made_is_read_back_and_nothing_else(remote: Path) -> None:
    assert git_tags.read("model-") == ({}, "")
    git_tags.create("model-1-abc", head(), '{"version": "1"}')
    git_tags.create("model-2-def", head(), "two\n\nlines")
    git_tags.create("other-1", head(), "of another model")
    made.git("push", "--quiet", "origin", "HEAD:refs/tags/model-3-light")
    assert git_tags.read("model-") == ({"model-1-abc": '{"version": "1"}\n', "model-2-def": "two\n\nlines\n"}, "")
    assert made.git("tag").strip() == "", "the person's own tags stay as they are"
    assert made.git("rev-parse", "refs/tags/model-1-abc^{commit}", cwd=remote).strip() == head()


def test_an_existing_tag_is_not_moved(remote: Path) -> None:
    git_tags.create("model-1-abc", head(), "first")
    with pytest.raises(Failure, match=r"^the tag model-1-abc could not be pushed: "):
        git_tags.create("model-1-abc", head(), "second")
    assert git_tags.read("model-")[0] == {"model-1-abc": "first\n"}


def test_tags_are_asked_again_after_a_while(remote: Path) -> None:
    git_tags.create("model-1-abc", head(), "one")
    assert "model-1-abc" in git_tags.read("model-")[0]
    made.git("push", "--quiet", "origin", ":refs/tags/model-1-abc")
    assert "model-1-abc" in git_tags.read("model-")[0], "a verb asks once"
    forget()
    assert git_tags.read("model-") == ({}, "")


def test_without_an_answer_the_known_tags_count_and_the_reason_is_told(remote: Path) -> None:
    git_tags.create("model-1-abc", head(), "one")
    git_tags.read("model-")
    shutil.move(remote, remote.with_suffix(".away"))
    forget()
    texts, stale = git_tags.read("model-")
    assert texts == {"model-1-abc": "one\n"}
    assert "does not appear to be a git repository" in stale
    shutil.rmtree(workspace.GIT_TAGS)
    forget()
    assert git_tags.read("model-")[0] == {}
    with pytest.raises(Failure, match="could not be pushed"):
        git_tags.create("model-2-abc", head(), "two")


def test_a_remote_that_hangs_is_not_waited_for(remote: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = git.run

    def hanging(*words: str, **options: Any) -> Any:
        if words[0] == "fetch":
            assert options["seconds"] == git_tags.PATIENCE
            raise Failure("git did not end within 5 s; run this again")
        return run(*words, **options)

    monkeypatch.setattr(git, "run", hanging)
    assert git_tags.read("model-") == ({}, "git did not end within 5 s; run this again")
    monkeypatch.setattr(git, "run", run)
    assert git_tags.read("model-")[1] == "git did not end within 5 s; run this again", "a verb waits once"
    forget()
    assert git_tags.read("model-") == ({}, "")


def test_a_shallow_clone_without_tags_reads_them_and_stays_as_it_is(
    remote: Path, tmp_path_factory, monkeypatch
) -> None:
    made.commit("Second")
    made.git("push", "--quiet", "origin", "main")
    git_tags.create("model-1-abc", head(), "one")
    clone = tmp_path_factory.mktemp("clone") / "project"
    made.git("clone", "--quiet", "--depth", "1", remote.as_uri(), str(clone))
    monkeypatch.chdir(clone)
    assert git_tags.read("model-") == ({"model-1-abc": "one\n"}, "")
    assert made.git("rev-list", "--count", "--all").strip() == "1"


def test_without_a_remote_there_are_none(repository: Path) -> None:
    assert git_tags.read("model-") == ({}, "there is no remote")
    assert not workspace.GIT_TAGS.exists()
