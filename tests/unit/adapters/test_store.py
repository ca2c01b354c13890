"""The store: two writers at once lose nothing; a commit that cannot be pushed is kept and reported."""

import os
import subprocess
import sys
from pathlib import Path

import made
import pytest

from delivery.__main__ import main
from delivery.adapters import store
from delivery.core import retries, workspace
from delivery.core.errors import Failure

DATABASE = Path(".store/mlflow/mlflow.db")
NEW = {"README.md", ".gitignore"}  # what a new store holds


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a writer that lost the race retry without a pause."""
    monkeypatch.setattr(retries, "sleep", lambda seconds: None)


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    """Return a bare repository; `a` and `b` are the projects of two people who cloned it."""
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
    """Change to the project of a person."""
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
    assert store.push("One") == "store: kept on this machine, because there is no remote"
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


def test_a_pull_gets_what_another_writer_pushed(remote: Path, person) -> None:
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


def test_two_first_pushes_at_once_make_one_store(remote: Path, person) -> None:
    for name in ("a", "b"):
        person(name)
        assert store.pull() == "store: created"
        put(f"dvc/{name}")
    for name in ("a", "b"):
        person(name)
        assert store.push(name) == "store: pushed"
    assert pushed(remote) == {*NEW, "dvc/a", "dvc/b"}


def test_many_pushes_at_the_same_moment_all_succeed(remote: Path, person, tmp_path: Path) -> None:
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
    """Let both change the registry's database, which cannot be merged; `b` loses the race."""
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


def test_a_writer_that_loses_the_race_redoes_its_change_on_the_newer_registry(remote: Path, person) -> None:
    def redo() -> None:
        assert DATABASE.read_bytes().endswith(b"a"), "on what the first one wrote"
        DATABASE.write_bytes(DATABASE.read_bytes() + b"b")

    assert diverge(person, redo) == "store: pushed"
    person("a")
    store.pull()
    assert DATABASE.read_bytes().endswith(b"ab")
    assert pushed(remote) == {*NEW, "mlflow/mlflow.db", "dvc/a", "dvc/b"}, "and DVC's files are kept"


def test_a_writer_adds_only_its_own_files_to_a_history_that_was_replaced(remote: Path, person) -> None:
    """What the new history has left out must not come back with the commits that the old one started with."""
    person("a")
    store.pull()
    put("dvc/old")
    put("dvc/kept")
    store.push("Begin")
    person("b")
    store.pull()
    put("dvc/mine")
    store.commit("Mine")
    person("a")
    (workspace.STORE / "dvc/old").unlink()
    store.commit("Without the old one")
    new = made.git("commit-tree", "HEAD^{tree}", "-m", "One commit", cwd=workspace.STORE)
    made.git("push", "--quiet", "--force", "origin", f"{new}:refs/heads/store", cwd=workspace.STORE)
    person("b")
    assert store.push("Mine too") == "store: pushed"
    assert pushed(remote) == {*NEW, "dvc/kept", "dvc/mine"}
    assert made.git("rev-list", "--count", store.NAMED, cwd=remote) == "2"


def test_a_conflict_without_a_redo_is_refused_and_nothing_is_discarded(remote: Path, person) -> None:
    with pytest.raises(
        Failure, match=r"changed by another writer meanwhile; move \.store away and register the model again"
    ):
        diverge(person)
    assert DATABASE.read_bytes().endswith(b"b")
    assert not (workspace.STORE / ".git" / "rebase-merge").exists()


def test_records_that_were_never_pushed_are_not_discarded(remote: Path, person) -> None:
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
    assert "this machine has records that the remote lacks; push them or delete .store/" in store.pull()
    assert (workspace.STORE / "mlflow/mine").exists()
    assert store.push("Both") == "store: pushed"
    assert {"mlflow/mine", "dvc/a"} <= pushed(remote)


def test_files_that_were_never_committed_are_not_discarded(remote: Path, person) -> None:
    for at, name in enumerate("aba"):
        person(name)
        store.pull()
        put(f"dvc/{at}")
        store.push(name)
    person("b")
    put("mlflow/mine")
    assert "this machine has records" in store.pull()
    assert (workspace.STORE / "mlflow/mine").exists()


def test_a_refusal_of_the_remote_is_not_retried_and_the_records_are_kept(remote: Path, person, tmp_path: Path) -> None:
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


def test_without_an_answer_from_the_remote_the_local_store_is_used(remote: Path, person) -> None:
    person("a")
    store.pull()
    put("dvc/a")
    remote.rename(remote.with_name("gone.git"))
    assert store.pull().startswith("store: the remote does not answer (")
    with pytest.raises(Failure, match=r"could not be pushed: fatal: .*remote\.git.*it is kept in \.store"):
        store.push("One")
    assert (workspace.STORE / "dvc/a").exists()


def test_a_laptop_that_is_offline_and_has_no_store_gets_an_empty_one(remote: Path, person) -> None:
    person("a")
    remote.rename(remote.with_name("gone.git"))
    assert store.pull().endswith("created an empty one on this machine, without a champion")
    put("dvc/a")
    remote.with_name("gone.git").rename(remote)
    assert store.push("One") == "store: pushed"


def test_a_workflow_without_a_store_fails(remote: Path, person, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty store would have no champion, and the floors alone would decide."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    person("a")
    remote.rename(remote.with_name("gone.git"))
    with pytest.raises(
        Failure, match=r"the remote does not answer \(.*so the store is not available; run the job again"
    ):
        store.pull()
    assert not workspace.STORE.exists()


@pytest.mark.parametrize("there", [False, True])
def test_a_workflow_replaces_no_store_that_was_deleted(
    remote: Path, person, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    """An empty one would begin with version 1 again, and hide every record of the one that can be restored."""
    person("a")
    store.push("One")
    made.git("tag", "-m", "{}", "model-7-0123abcd")
    made.git("push", "--quiet", "origin", "model-7-0123abcd", ":refs/heads/store")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    if not there:
        person("b")
    with pytest.raises(Failure, match="the branch store is gone, though the tag model-7-0123abcd .*Restore the store"):
        store.pull()


def test_the_first_run_of_a_workflow_begins_a_store(remote: Path, person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    person("a")
    made.git("tag", "-m", "{}", "model-digits-7-0123abcd")  # of another model's store
    made.git("push", "--quiet", "origin", "model-digits-7-0123abcd")
    assert store.pull() == "store: created"


def test_a_clone_without_the_older_commits_restores_a_branch_that_was_deleted(
    remote: Path, person, monkeypatch: pytest.MonkeyPatch
) -> None:
    person("a")
    for name in ("one", "two"):
        put(f"dvc/{name}")
        store.push(name)
    person("b")
    made.git("remote", "set-url", "origin", f"file://{remote}")  # by the protocol, as from GitHub
    assert store.pull() == "store: cloned"
    made.git("push", "--quiet", "origin", ":refs/heads/store")
    put("dvc/three")
    with monkeypatch.context() as patched:
        patched.setenv("GITHUB_ACTIONS", "true")
        with pytest.raises(Failure, match="the branch store is gone, and what this command has recorded is not kept"):
            store.push("three")
    assert store.push("Restored") == "store: pushed"
    assert {"dvc/one", "dvc/two", "dvc/three"} < pushed(remote)
    put("dvc/four")
    assert store.push("four") == "store: pushed"


def test_files_written_before_the_store_was_created_are_kept(remote: Path, person) -> None:
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


def test_without_changes_there_is_no_commit(repository: Path) -> None:
    store.pull()
    assert not store.commit("Nothing")
    put("dvc/a")
    assert store.commit("One")


def test_commits_are_the_bots_and_need_no_git_settings(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.delenv(f"GIT_{who}_NAME")
        monkeypatch.delenv(f"GIT_{who}_EMAIL")
    store.pull()
    assert (
        made.git("log", "--format=%an %ae", cwd=workspace.STORE)
        == "github-actions[bot] 41898282+github-actions[bot]@users.noreply.github.com"
    )


@pytest.mark.parametrize("lock", ["index.lock", "refs/heads/store.lock"])
def test_the_lock_of_a_killed_git_is_removed(lock: str, repository: Path) -> None:
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


@pytest.fixture
def limited(remote: Path, person, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A remote that refuses files of more than 1,024 bytes, as GitHub does with 100 MiB; `a` is the current project."""
    hook = remote / "hooks" / "pre-receive"
    hook.write_text(
        """#!/bin/sh
while read -r old new ref; do
  large=$(git rev-list --objects "$new" --not --all | git cat-file --batch-check='%(objecttype) %(objectsize) %(rest)' |
    awk '$1 == "blob" && $2 > 1024 { print "File", $3, "exceeds" }')
  [ -z "$large" ] || { echo "error: See https://gh.io/lfs" >&2; echo "error: $large" >&2; exit 1; }
done
"""
    )
    hook.chmod(0o755)
    monkeypatch.setenv("DELIVERY_FILE_MB", str(1024 / 2**20))
    person("a")
    return remote


def test_a_file_that_is_too_large_is_left_out_and_everything_else_is_pushed(limited: Path) -> None:
    store.pull()
    put("dvc/files/md5/ab/cdef", b"x" * 1025)
    put("dvc/files/md5/12/34.dir", '[{"md5": "abcdef", "relpath": "large"}]')
    put("dvc/files/md5/56/78.dir", '[{"md5": "1234", "relpath": "small"}]')
    put("dvc/files/md5/9a/fits", b"x" * 1024)
    for name in ("one", "two"):
        put(f"drift/{name}")
        assert store.push(name) == "store: pushed"
    assert pushed(limited) == {*NEW, "drift/one", "drift/two", "dvc/files/md5/56/78.dir", "dvc/files/md5/9a/fits"}
    assert (workspace.STORE / "dvc/files/md5/ab/cdef").exists()
    assert store.pull() == "store: up to date", "what cannot be pushed does not keep it from being updated"


def test_the_verb_names_a_file_that_is_too_large_and_the_remedy(limited: Path, capsys) -> None:
    store.pull()
    put("dvc/files/md5/ab/cdef", b"x" * 1025)
    assert main(["store", "push"]) == 1
    told = capsys.readouterr()
    assert told.out == "store: pushed\n"
    assert ".store/dvc/files/md5/ab/cdef (0.0 MB) cannot be kept in the branch `store`" in told.err
    assert "keep data and models in a bucket (docs/how-to/scale.md)" in told.err


@pytest.mark.parametrize("before", [True, False], ids=["published", "new"])
@pytest.mark.parametrize("gone", [True, False], ids=["gone", "there"])
def test_a_large_file_that_was_committed_keeps_no_later_push_from_the_remote(
    limited: Path, person, monkeypatch: pytest.MonkeyPatch, before: bool, gone: bool
) -> None:
    store.pull()
    if before:
        store.push("Begin")
    put("mlflow/large", b"x" * 1025)
    put("mlflow/small")
    made.git("add", "--all", cwd=workspace.STORE)
    made.commit("As it was done before there was a limit", cwd=workspace.STORE)
    if gone:
        (workspace.STORE / "mlflow/large").unlink()
    put("drift/one")
    assert store.push("One") == "store: pushed"
    assert pushed(limited) == {*NEW, "mlflow/small", "drift/one"}
    assert (workspace.STORE / "mlflow/large").exists() is not gone
    person("b")
    assert store.pull() == "store: cloned"


def test_what_another_has_pushed_stays_when_a_large_file_is_taken_out_of_the_history(limited: Path, person) -> None:
    for name in ("a", "b"):
        person(name)
        store.pull()
        store.push("Begin")
    put("mlflow/large", b"x" * 1025)
    made.git("add", "--all", cwd=workspace.STORE)
    made.commit("Large", cwd=workspace.STORE)
    person("a")
    put("dvc/theirs")
    store.push("Theirs")
    person("b")
    put("dvc/mine")
    assert store.push("Mine") == "store: pushed"
    assert pushed(limited) == {*NEW, "dvc/theirs", "dvc/mine"}


def test_a_file_of_the_store_that_grew_too_large_is_named_before_anything_is_committed(limited: Path) -> None:
    store.pull()
    put("mlflow/mlflow.db")
    store.push("One")
    put("mlflow/mlflow.db", b"x" * 1025)
    with pytest.raises(Failure, match=r"\.store/mlflow/mlflow\.db .*; keep the versions on a registry server"):
        store.push("Two")
    assert made.git("log", "-1", "--format=%s", cwd=workspace.STORE) == "One"


def test_a_remote_with_a_lower_limit_than_githubs_is_quoted(limited: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DELIVERY_FILE_MB")
    store.pull()
    put("dvc/ab/large", b"x" * 1025)
    with pytest.raises(
        Failure, match=r"pushed: remote: error: File dvc/ab/large exceeds; .* with DELIVERY_FILE_MB set"
    ):
        store.push("One")
    monkeypatch.setenv("DELIVERY_FILE_MB", str(1024 / 2**20))
    assert store.push("One") == "store: pushed"
    assert pushed(limited) == NEW
