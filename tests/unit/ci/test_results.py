"""Results that go to a branch: once for each commit, and their checks too, however often the job is started again."""

import hashlib
import subprocess
from pathlib import Path

import made
import pytest

from delivery.__main__ import main
from delivery.adapters import dvc, git, github, store
from delivery.ci import results
from delivery.core import workspace
from delivery.core.errors import Failure
from delivery.pull_requests import proposal


def ours(of: str) -> str:
    """The commit of results on top of what is there."""
    made.commit(f"Results\n\n{results.MARK}: {of}")
    return git.head() or ""


def test_a_second_start_of_the_same_run_finds_its_commit_and_pushes_nothing(repository: Path) -> None:
    Path("dvc.lock").write_text("1\n")
    commit = ours("a" * 40)
    assert results.push(repository / "none", "main", "a" * 40) == commit


def test_results_of_results_are_refused(repository: Path) -> None:
    Path("dvc.lock").write_text("1\n")
    commit = ours("a" * 40)
    with pytest.raises(Failure, match="results of aaaaaaaa came out different a second time"):
        results.push(repository / "none", "main", commit)


def test_a_second_start_knows_its_model_by_its_folder(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("dvc.lock").write_text("1\n")
    commit = ours("a" * 40 + "-models-digits")
    monkeypatch.setattr(git, "suffix", lambda: "-models-digits")
    assert results.push(repository / "none", "main", "a" * 40) == commit
    with pytest.raises(Failure, match="results of aaaaaaaa came out different a second time"):
        results.push(repository / "none", "main", "b" * 40)


@pytest.fixture
def hub(repository: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A remote that `repository` pushes to; the store is not pushed, but its last message goes to `stored`."""
    origin = tmp_path_factory.mktemp("hub") / "origin.git"
    made.git("init", "--quiet", "--bare", str(origin))
    made.git("remote", "add", "origin", str(origin))
    monkeypatch.setattr(store, "push", lambda message, redo: (origin / "stored").write_text(f"{message} {redo()}"))
    return origin


def handed(folder: Path, content: str = "rows", name: str = "") -> Path:
    """A file of DVC's remote in a folder that was handed over, named by its digest or otherwise."""
    digest = hashlib.md5(content.encode()).hexdigest()
    path = folder / workspace.DVC_REMOTE.name / (name or f"files/md5/{digest[:2]}/{digest[2:]}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


@pytest.mark.parametrize("last", ["First", f"Another\n\n{results.MARK}: {'c' * 40}-models-digits"])
def test_results_go_to_the_store_and_then_to_the_branch(
    hub: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, last: str
) -> None:
    """Also after those of another model in the same repository. Nothing but the results is committed, no link followed."""
    Path("other.txt").write_text("1\n")
    made.commit(last)
    Path("other.txt").write_text("2\n")
    parent, folder = git.head() or "", tmp_path_factory.mktemp("handed")
    stored = handed(folder)
    (folder / "dvc.lock").write_text("lock\n")
    (folder / "reports").mkdir()
    (folder / "reports" / "metrics.json").write_text("{}\n")
    (folder / "reports" / "validate.json").symlink_to(folder / "dvc.lock")
    for name in ("AUTHOR", "COMMITTER"):  # nor anybody's name
        monkeypatch.delenv(f"GIT_{name}_NAME")
        monkeypatch.delenv(f"GIT_{name}_EMAIL")
    commit = results.push(folder, "slower", "b" * 40)
    assert (hub / "stored").read_text() == f"Results of {parent[:8]} None"
    assert (Path(".store") / stored.relative_to(folder)).read_text() == "rows"
    assert made.git("rev-parse", "slower", cwd=hub).strip() == commit == git.head()
    assert made.git("log", "-1", "--format=%P %an %ae", commit).strip() == f"{parent} {store.NAME} {store.EMAIL}"
    message = made.git("log", "-1", "--format=%B", commit).strip()
    assert message == f"Results of {parent[:8]}\n\n{results.MARK}: {'b' * 40}"
    assert made.git("diff", "--name-only", parent, commit).split() == ["dvc.lock", "reports/metrics.json"]
    assert made.git("show", f"{commit}:dvc.lock").strip() == "lock"


def test_results_of_one_model_of_several_are_marked_with_its_folder(
    hub: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(git, "suffix", lambda: "-models-digits")
    folder = tmp_path_factory.mktemp("handed")
    (folder / "dvc.lock").write_text("lock\n")
    results.push(folder, "slower", "b" * 40)
    assert made.git("log", "-1", "--format=%B").strip().endswith(f"{results.MARK}: {'b' * 40}-models-digits")


def test_what_was_refused_is_neither_stored_nor_committed(hub: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    before, folder = git.head(), tmp_path_factory.mktemp("handed")
    handed(folder, name="files/md5/aa/bb")
    (folder / "dvc.lock").write_text("lock\n")
    with pytest.raises(Failure, match="^files/md5/aa/bb is not what its name says; the results are refused$"):
        results.push(folder, "slower", "b" * 40)
    assert git.head() == before
    assert not (hub / "stored").exists()
    assert not Path("dvc.lock").exists()


def test_files_named_by_their_digest_are_admitted(folder: Path) -> None:
    digest = hashlib.md5(b"[]").hexdigest()
    names = [handed(folder / "new"), handed(folder / "new", "[]", f"files/md5/{digest[:2]}/{digest[2:]}.dir")]
    results.admit(folder / "new")
    admitted = [workspace.DVC_REMOTE / path.relative_to(folder / "new" / workspace.DVC_REMOTE.name) for path in names]
    assert [path.read_text() for path in admitted] == ["rows", "[]"]
    admitted[0].write_text("kept")
    results.admit(folder / "new")
    assert admitted[0].read_text() == "kept", "what the store has is not written again"


@pytest.mark.parametrize(
    "name",
    [
        "files/md5/ab/cd",
        "files/sha/{0}/{1}",
        "other/md5/{0}/{1}",
        "files/md5/{0}/{1}.txt",
        "files/{0}/{1}",
    ],
)
def test_a_file_that_is_not_what_its_name_says_is_refused(name: str, folder: Path) -> None:
    digest = hashlib.md5(b"rows").hexdigest()
    name = name.format(digest[:2], digest[2:])
    handed(folder / "new", name=name)
    with pytest.raises(Failure, match=f"^{name} is not what its name says; the results are refused$"):
        results.admit(folder / "new")
    assert not workspace.DVC_REMOTE.exists()


def test_a_link_is_refused_even_where_it_leads_to_the_right_content(folder: Path) -> None:
    path = handed(folder / "new")
    path.rename(folder / "elsewhere")
    path.symlink_to(folder / "elsewhere")
    with pytest.raises(Failure, match="is not what its name says; the results are refused$"):
        results.admit(folder / "new")


def test_what_is_new_is_collected(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """New files of DVC's remote and the results that exist; not what the store has already, nor an earlier run's."""
    asked = []
    monkeypatch.setattr(dvc, "run", lambda *words: asked.append(words))
    handed(Path(".store"), "old")
    made.git("init", "--quiet", str(workspace.STORE))
    made.git("add", "--all", cwd=workspace.STORE)
    made.git("commit", "--quiet", "--message", "Old", cwd=workspace.STORE)
    new = handed(Path(".store"), "new").relative_to(".store")
    (workspace.STORE / "registry.db").write_text("not DVC's")
    Path("dvc.lock").write_text("lock\n")
    Path("reports").mkdir()
    Path("reports/validate.json").write_text("{}\n")
    folder = Path("reports/results")
    for _ in range(2):
        results.collect(folder)
        files = {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}
        assert files == {str(new): "new", "dvc.lock": "lock\n", "reports/validate.json": "{}\n"}
        (folder / "stale").write_text("of an earlier run")
    assert asked == [("push", "--quiet")] * 2


@pytest.mark.parametrize(
    ("words", "started"),
    [
        ([], []),
        (["--dispatch", "--number", "12"], [("slower", "c" * 40, 12)]),
        (["--dispatch"], [("slower", "c" * 40, 0)]),
    ],
)
def test_the_verb_pushes_and_starts_the_checks_where_it_is_asked_to(
    words: list[str], started: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    checks: list[tuple] = []
    commits = {(Path("reports/results"), "slower", "b" * 40): "c" * 40}
    monkeypatch.setattr(results, "push", lambda *words: commits[words])
    monkeypatch.setattr(proposal, "start_checks", lambda *words: checks.append(words))
    monkeypatch.setattr(github, "summary", said.append)
    assert main(["results", "push", "reports/results", "--branch", "slower", "--of", "b" * 40, *words]) == 0
    assert checks == started
    assert said == ["Results committed to `slower` as cccccccc."]


def test_a_push_that_goes_on_failing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another job of ours is faster each time."""
    asked: list[tuple[str, ...]] = []

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        asked.append(words)
        return subprocess.CompletedProcess(words, 1, "", "error: failed to push some refs")

    def answer(*words: str) -> str:
        asked.append(words)
        return f"{store.EMAIL}\n{store.EMAIL}" if words[0] == "log" else ""

    monkeypatch.setattr(git, "run", run)
    monkeypatch.setattr(git, "git", answer)
    with pytest.raises(Failure, match=r"^tuned was not pushed to: error: failed to push some refs$"):
        results._push("tuned")
    assert asked == store.TRIES * [
        ("push", "--quiet", "origin", "HEAD:refs/heads/tuned"),
        ("fetch", "--quiet", "origin", "refs/heads/tuned"),
        ("log", "--format=%ae", "HEAD..FETCH_HEAD"),
        (*store.IDENTITY, "rebase", "--quiet", "FETCH_HEAD"),
    ]


@pytest.mark.parametrize(("who", "goes"), [(store.EMAIL, True), ("ada@example.org", False)])
def test_what_another_models_job_has_pushed_is_gone_on_from_and_a_persons_work_is_not(
    repository: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, who: str, goes: bool
) -> None:
    origin = tmp_path_factory.mktemp("hub") / "origin.git"
    made.git("init", "--quiet", "--bare", str(origin))
    made.git("remote", "add", "origin", str(origin))
    Path("README.md").write_text("Two models\n")
    made.commit("Two models")
    made.git("push", "--quiet", "origin", "HEAD:refs/heads/tuned")
    before = git.head()
    Path("digits").mkdir()
    Path("digits/dvc.lock").write_text("1\n")
    made.git("add", "--all")
    made.git("commit", "--quiet", f"--author=Somebody <{who}>", "--message", "Of the other")
    made.git("push", "--quiet", "origin", "HEAD:refs/heads/tuned")
    made.git("reset", "--quiet", "--hard", before or "")
    Path("diabetes").mkdir()
    Path("diabetes/dvc.lock").write_text("1\n")
    made.commit("Of this one")
    if goes:
        results._push("tuned")
        assert made.git("ls-tree", "--name-only", "tuned", cwd=origin).split()[-2:] == ["diabetes", "digits"]
    else:
        with pytest.raises(Failure, match="tuned was not pushed to: "):
            results._push("tuned")
        assert made.git("log", "-1", "--format=%s", "tuned", cwd=origin).strip() == "Of the other"


@pytest.mark.parametrize("path", [".github/workflows/ci.yml@refs/heads/slower", ".github/workflows/ci.yml"])
def test_only_checks_that_this_commit_has_not_had_are_started(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def ask(method: str, url: str, body: dict | None = None) -> dict:
        asked.append((method, url, body))
        return {"workflow_runs": [{"path": path}]}

    monkeypatch.setattr(github, "ask", ask)
    proposal.start_checks("slower", "b" * 40, 12)
    assert asked[0][:2] == (
        "GET",
        f"/actions/runs?event=workflow_dispatch&head_sha={'b' * 40}&per_page=100",
    )
    body = {"ref": "slower", "inputs": {"number": "12"}}
    assert asked[1:] == [("POST", "/actions/workflows/report.yml/dispatches", body)]


def test_all_checks_are_started_for_a_commit_that_had_none(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def ask(method: str, path: str, body: dict | None = None) -> dict:
        asked.append((method, path, body))
        return {"workflow_runs": []}

    monkeypatch.setattr(github, "ask", ask)
    proposal.start_checks("slower", "b" * 40, 12)
    assert asked[1:] == [
        ("POST", "/actions/workflows/ci.yml/dispatches", {"ref": "slower", "inputs": {}}),
        ("POST", "/actions/workflows/report.yml/dispatches", {"ref": "slower", "inputs": {"number": "12"}}),
    ]
