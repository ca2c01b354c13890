"""The store: two people write at once and nothing is lost; what cannot be pushed is kept and said."""

import os
import subprocess
import sys
from pathlib import Path

import made
import pytest

from delivery.__main__ import main
from delivery.adapters import store
from delivery.core import workspace
from delivery.core.errors import Failure

DATABASE = Path(".store/mlflow/mlflow.db")
NEW = {"README.md", ".gitignore"}  # what a new store holds


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who comes second tries again without a pause."""
    monkeypatch.setattr(store.random, "uniform", lambda *_: 0)


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    """A bare repository, and the projects `a` and `b` of two people who cloned it."""
    bare = tmp_path / "remote.git"
    made.git("init", "--quiet", "--bare", "--initial-branch", "main", str(bare))
    made.git("clone", "--quiet", str(bare), str(tmp_path / "a"))
    (tmp_path / "a" / ".gitignore").write_text("/.store/\n")
    made.commit("First", cwd=tmp_path / "a")
    made.git("push", "--quiet", "origin", "HEAD:main", cwd=tmp_path / "a")
    made.git("clone", "--quiet", str(bare), str(tmp_path / "b"))
    return bare


@pytest.fixture
def person(remote: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Sits down at somebody's project."""
    return lambda name: monkeypatch.chdir(tmp_path / name)


def put(name: str, content: str | bytes = "content") -> None:
    path = workspace.STORE / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def pushed(remote: Path) -> set[str]:
    return set(made.git("ls-tree", "-r", "--name-only", store.NAMED, cwd=remote).splitlines())


def test_without_a_remote_the_store_is_local(repository: Path) -> None:
    assert store.pull() == "store: created"
    put("dvc/ab/c")
    assert store.push("One") == "store: kept on this machine, there is no remote"
    assert store.pull() == "store: local only"
    assert made.git("log", "--format=%s", cwd=workspace.STORE).splitlines() == ["One", "A new store"]
    assert made.git("status", "--porcelain") == ""


def test_the_first_push_makes_the_branch_and_a_clone_gets_it(remote: Path, person) -> None:
    person("a")
    assert store.pull() == "store: created"
    assert store.pull() == "store: local only; `delivery store push` makes the branch"
    put("dvc/ab/c")
    assert store.push("One") == "store: pushed"
    person("b")
    assert store.pull() == "store: cloned"
    assert (workspace.STORE / "dvc/ab/c").read_text() == "content"
    assert store.pull() == "store: up to date"
    assert made.git("rev-list", "--all", "--max-parents=0", "--count", cwd=remote) == "2", "an orphan branch"


def test_what_the_other_pushed_arrives(remote: Path, person) -> None:
    for name in ("a", "b"):
        person(name)
        store.pull()
        put(f"dvc/{name}")
        store.push(name)
    person("a")
    assert store.pull() == "store: updated"
    assert (workspace.STORE / "dvc/b").exists()


def test_a_branch_that_only_ends_in_the_same_word_is_not_the_store(remote: Path, person) -> None:
    person("a")
    made.git("push", "--quiet", "origin", "HEAD:refs/heads/feature/store")
    assert store.pull() == "store: created"


def test_two_who_begin_at_once_get_one_store(remote: Path, person) -> None:
    for name in ("a", "b"):
        person(name)
        assert store.pull() == "store: created"
        put(f"dvc/{name}")
    for name in ("a", "b"):
        person(name)
        assert store.push(name) == "store: pushed"
    assert pushed(remote) == {*NEW, "dvc/a", "dvc/b"}


def test_many_who_push_at_the_same_moment_all_succeed(remote: Path, person, tmp_path: Path) -> None:
    person("a")
    store.pull()
    store.push("First")
    code = "import sys; from delivery.adapters import store; store.pull(); open(f'.store/{sys.argv[1]}', 'w'); store.push('x')"
    running = []
    for name in "cdef":
        made.git("clone", "--quiet", str(remote), str(tmp_path / name))
        running.append(subprocess.Popen([sys.executable, "-c", code, name], cwd=tmp_path / name))
    assert [process.wait() for process in running] == [0, 0, 0, 0]
    assert pushed(remote) == {*NEW, *"cdef"}


def diverge(person, redo_of_b=None) -> str:
    """Both change the registry's database, which cannot be merged; `b` comes second."""
    for name in ("a", "b"):
        person(name)
        store.pull()
        if name == "a":
            store.push("Begin")
    for name in ("a", "b"):
        person(name)
        put("mlflow/mlflow.db", bytes(range(256)) + name.encode())
        put(f"dvc/{name}")
        answer = store.push(name, redo=redo_of_b if name == "b" else None)
    return answer


def test_who_comes_second_at_the_registry_does_it_again_on_the_newer_one(remote: Path, person) -> None:
    def redo() -> None:
        assert DATABASE.read_bytes().endswith(b"a"), "on what the first one wrote"
        DATABASE.write_bytes(DATABASE.read_bytes() + b"b")

    assert diverge(person, redo) == "store: pushed"
    person("a")
    store.pull()
    assert DATABASE.read_bytes().endswith(b"ab")
    assert pushed(remote) == {*NEW, "mlflow/mlflow.db", "dvc/a", "dvc/b"}, "and DVC's files are kept"


def test_a_conflict_that_nobody_can_redo_is_refused_and_nothing_is_thrown_away(remote: Path, person) -> None:
    with pytest.raises(
        Failure, match=r"changed by someone else meanwhile; move \.store away and register the model again"
    ):
        diverge(person)
    assert DATABASE.read_bytes().endswith(b"b")
    assert not (workspace.STORE / ".git" / "rebase-merge").exists()


def test_records_that_were_never_pushed_are_not_thrown_away(remote: Path, person) -> None:
    for name in ("a", "b"):
        person(name)
        store.pull()
        store.push("Begin")
    put("mlflow/mine")
    store.commit("Mine")
    person("a")
    put("dvc/a")
    store.push("Theirs")
    person("b")
    assert "this machine has records that the remote has not; push them or delete .store/" in store.pull()
    assert (workspace.STORE / "mlflow/mine").exists()
    assert store.push("Both") == "store: pushed"
    assert {"mlflow/mine", "dvc/a"} <= pushed(remote)


def test_files_that_were_not_even_committed_are_not_thrown_away(remote: Path, person) -> None:
    for at, name in enumerate("aba"):
        person(name)
        store.pull()
        put(f"dvc/{at}")
        store.push(name)
    person("b")
    put("mlflow/mine")
    assert "this machine has records" in store.pull()
    assert (workspace.STORE / "mlflow/mine").exists()


def test_a_remote_that_refuses_is_asked_once_and_the_records_are_kept(remote: Path, person, tmp_path: Path) -> None:
    hook = remote / "hooks" / "pre-receive"
    hook.write_text(f"#!/bin/sh\necho x >> {tmp_path}/asked\necho protected branch >&2\nexit 1\n")
    hook.chmod(0o755)
    person("a")
    store.pull()
    put("dvc/a")
    with pytest.raises(
        Failure, match=r"the store could not be pushed: .*pre-receive hook declined.*protected branch"
    ) as failure:
        store.push("One")
    assert str(failure.value).endswith("it is kept in .store, push again later")
    assert "\n" not in str(failure.value)
    assert (tmp_path / "asked").read_text() == "x\n"
    hook.unlink()
    assert store.push("One") == "store: pushed"
    assert "dvc/a" in pushed(remote)


def test_a_remote_that_does_not_answer_is_said_and_what_is_here_is_used(remote: Path, person) -> None:
    person("a")
    store.pull()
    put("dvc/a")
    remote.rename(remote.with_name("gone.git"))
    assert store.pull().startswith("store: the remote does not answer (")
    with pytest.raises(Failure, match=r"could not be pushed: fatal: .*remote\.git.*it is kept in \.store"):
        store.push("One")
    assert (workspace.STORE / "dvc/a").exists()


def test_without_a_store_a_laptop_that_is_offline_gets_a_new_one_and_is_told(remote: Path, person) -> None:
    person("a")
    remote.rename(remote.with_name("gone.git"))
    assert store.pull().endswith("a new one on this machine, which knows no champion")
    put("dvc/a")
    remote.with_name("gone.git").rename(remote)
    assert store.push("One") == "store: pushed"


def test_without_a_store_a_workflow_refuses_to_go_on(remote: Path, person, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty store in place of the real one would have no champion, and the floors alone would decide."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    person("a")
    remote.rename(remote.with_name("gone.git"))
    with pytest.raises(Failure, match=r"the remote does not answer \(.*so the store cannot be had; run the job again"):
        store.pull()
    assert not workspace.STORE.exists()


def test_what_was_written_before_there_was_a_store_is_kept(remote: Path, person) -> None:
    person("a")
    store.pull()
    put("dvc/theirs")
    store.push("One")
    person("b")
    put("dvc/mine")
    put("README.md", "mine")
    assert store.pull() == "store: cloned"
    assert {path.name for path in (workspace.STORE / "dvc").iterdir()} == {"mine", "theirs"}
    assert (workspace.STORE / "README.md").read_text() == store.README
    assert store.push("Two") == "store: pushed"


def test_a_commit_without_a_store_never_lands_in_the_project(repository: Path) -> None:
    put("mlflow/mlflow.db")
    (repository / "notes.txt").write_text("not for a commit")
    before = made.git("rev-parse", "HEAD")
    store.commit("Version 1")
    assert made.git("rev-parse", "HEAD") == before
    assert made.git("status", "--porcelain") == "?? notes.txt"
    assert made.git("log", "--format=%s", cwd=workspace.STORE) == "A new store"


def test_nothing_new_is_no_commit(repository: Path) -> None:
    store.pull()
    assert not store.commit("Nothing")
    put("dvc/a")
    assert store.commit("One")


def test_commits_carry_the_machine_s_name_and_need_no_settings(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.delenv(f"GIT_{who}_NAME")
        monkeypatch.delenv(f"GIT_{who}_EMAIL")
    store.pull()
    assert (
        made.git("log", "--format=%an %ae", cwd=workspace.STORE)
        == "github-actions[bot] 41898282+github-actions[bot]@users.noreply.github.com"
    )


@pytest.mark.parametrize("lock", ["index.lock", "refs/heads/store.lock"])
def test_a_lock_that_a_killed_git_has_left_is_no_obstacle(lock: str, repository: Path) -> None:
    store.pull()
    left = workspace.STORE / ".git" / lock
    left.touch()
    os.utime(left, (0, 0))
    put("dvc/a")
    assert store.commit("One")
    assert not left.exists()


def test_the_verb(remote: Path, person, capsys) -> None:
    person("a")
    assert main(["store", "pull"]) == 0
    assert main(["store", "push"]) == 0
    assert capsys.readouterr().out == "store: created\nstore: pushed\n"
