"""The store with every kind of remote: none, one without a store, one with, one that is gone."""

from pathlib import Path

import pytest
import sample


@pytest.fixture
def bare(tmp_path: Path, registered: Path) -> Path:
    """A remote that has the project's branch and no store yet."""
    folder = tmp_path / "remote.git"
    sample.git(tmp_path, "clone", "--quiet", "--bare", str(registered), str(folder))
    sample.git(registered, "remote", "set-url", "origin", str(folder))
    sample.git(registered / ".store", "remote", "set-url", "origin", str(folder))
    return folder


def test_what_one_has_registered_another_gets(registered: Path, bare: Path, tmp_path: Path, here) -> None:
    assert here(registered, "store", "push")[1] == "store: pushed\n"
    assert "refs/heads/store" in sample.git(bare, "for-each-ref")
    other = tmp_path / "other"
    sample.git(tmp_path, "clone", "--quiet", str(bare), str(other))
    assert here(other, "store", "pull")[1] == "store: cloned\n"
    assert here(other, "lineage", "staging") == here(registered, "lineage", "staging")
    sample.run(other, "pull", module="dvc")
    for path in (registered / "artifacts").rglob("*.*"):
        assert (other / path.relative_to(registered)).read_bytes() == path.read_bytes()
    assert not sample.git(other, "status", "--porcelain")
    assert here(other, "store", "pull")[1] == "store: up to date\n"


def test_a_remote_without_a_store_gets_one_by_a_push_only(registered: Path, bare: Path, here) -> None:
    assert here(registered, "store", "pull")[1] == "store: local only; `delivery store push` makes the branch\n"
    assert "refs/heads/store" not in sample.git(bare, "for-each-ref")


def test_without_a_remote_the_store_stays_here(registered: Path, here) -> None:
    sample.git(registered, "remote", "remove", "origin")
    assert here(registered, "store", "pull")[1] == "store: local only\n"
    assert here(registered, "store", "push")[1] == "store: kept on this machine, because there is no remote\n"


def test_a_remote_that_is_gone_is_said_and_what_is_here_is_used(registered: Path, here) -> None:
    sample.git(registered, "remote", "set-url", "origin", str(registered.parent / "nowhere.git"))
    _, said, _ = here(registered, "store", "pull")
    assert said.startswith("store: the remote does not answer (fatal: ")
    assert said.endswith("using the one on this machine\n")


def test_a_remote_that_is_gone_gives_a_laptop_an_empty_store_and_says_so(project: Path, here) -> None:
    sample.git(project, "remote", "add", "origin", str(project.parent / "nowhere.git"))
    _, said, _ = here(project, "store", "pull")
    assert said.endswith("created an empty one on this machine, without a champion\n")


def test_a_remote_that_is_gone_stops_a_workflow(project: Path, here, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    sample.git(project, "remote", "add", "origin", str(project.parent / "nowhere.git"))
    code, _, said = here(project, "store", "pull")
    assert code == 1
    assert said.startswith("error: the remote does not answer (fatal: ")
    assert not (project / ".store").exists()
