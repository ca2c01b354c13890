"""Results that go to a branch: once for each commit, and their checks too, however often the job is started again."""

import hashlib
import shutil
import subprocess
from pathlib import Path

import made
import pytest

from delivery.__main__ import main
from delivery.adapters import dvc, git, github, store
from delivery.ci import results
from delivery.core import files, workspace
from delivery.core.errors import Failure, GitHubError
from delivery.pull_requests import checks


@pytest.fixture
def hub(repository: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A remote that `repository` pushes to; the store is not pushed, but its last message goes to `stored`."""
    origin = tmp_path_factory.mktemp("hub") / "origin.git"
    made.git("init", "--quiet", "--bare", str(origin))
    made.git("remote", "add", "origin", str(origin))
    monkeypatch.setattr(store, "push", lambda message, redo: (origin / "stored").write_text(f"{message} {redo()}"))
    return origin


def published(branch: str) -> str:
    """The current commit as a branch of the remote, of which this checkout then has nothing but its own first commit."""
    head = git.head() or ""
    made.git("push", "--quiet", "--force", "origin", f"HEAD:refs/heads/{branch}")
    made.git("reset", "--quiet", "--hard", made.git("rev-list", "--max-parents=0", "HEAD").strip())
    return head


def ours(of: str) -> str:
    """The commit of results on top of what is there, as the remote's branch `tuned`."""
    Path("dvc.lock").write_text("1\n")
    made.commit(f"Results\n\n{results.MARK}: {of}")
    return published("tuned")


def test_a_second_start_of_the_same_run_finds_its_commit_and_pushes_nothing(hub: Path, folder: Path) -> None:
    commit = ours("a" * 40)
    assert results.push(folder / "none", "tuned", "a" * 40) == commit
    assert not (hub / "stored").exists()


@pytest.mark.parametrize("last", ["A person's", f"Results\n\n{results.MARK}: {'c' * 40}"])
def test_results_of_an_older_commit_are_refused(hub: Path, folder: Path, last: str) -> None:
    """As of a run that is started again after somebody has pushed: the newer commit would get results that are not its own."""
    older = git.head() or ""
    made.commit(last)
    head = published("tuned")
    with pytest.raises(
        Failure, match=f"tuned has newer commits than {older[:8]}, .*; the run of {head[:8]} makes its own"
    ):
        results.push(folder / "none", "tuned", older)
    assert made.git("rev-parse", "tuned", cwd=hub).strip() == head
    assert not (hub / "stored").exists()


def test_results_of_results_are_refused(hub: Path, folder: Path) -> None:
    commit = ours("a" * 40)
    with pytest.raises(Failure, match="results of aaaaaaaa came out different a second time"):
        results.push(folder / "none", "tuned", commit)


def test_a_second_start_knows_its_model_by_its_folder(hub: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = ours("a" * 40 + "-models-digits")
    monkeypatch.setattr(git, "suffix", lambda: "-models-digits")
    assert results.push(folder / "none", "tuned", "a" * 40) == commit
    with pytest.raises(Failure, match="results of aaaaaaaa came out different a second time"):
        results.push(folder / "none", "tuned", commit)


def handed(folder: Path, content: str = "rows", name: str = "") -> Path:
    """A file of DVC's remote in a folder that was handed over, named by its digest or otherwise."""
    digest = hashlib.md5(content.encode()).hexdigest()
    path = folder / workspace.DVC_REMOTE.name / (name or f"files/md5/{digest[:2]}/{digest[2:]}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


LOCK = """schema: '2.0'
stages:
  train:
    cmd: delivery train
    deps: [{path: requirements/pipeline.txt, md5: aa}]
    outs: [{path: artifacts/train, md5: bb.dir}]
"""


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (LOCK, LOCK.replace("aa", "cc"), True),  # other libraries, the same model
        (LOCK, LOCK.replace("bb", "cc"), False),
        (LOCK, LOCK.replace("artifacts/train", "artifacts/other"), False),
        ("words", "words", False),
        ("stages: {a: {outs: [1]}}", LOCK, False),
        ("a: [", LOCK, False),
        (None, LOCK, False),
        (LOCK, None, False),
    ],
)
def test_a_commit_of_results_says_whether_they_are_unchanged(
    before: str | None, after: str | None, said: bool, hub: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The branch's lock may be anything: whoever opens a pull request writes it."""
    Path("other.txt").write_text("1\n")
    if before:
        Path("dvc.lock").write_text(before)
    made.commit("Newer libraries")
    parent, folder = published("newer"), tmp_path_factory.mktemp("handed")
    handed(folder)
    (folder / "reports").mkdir()
    (folder / "reports" / "metrics.json").write_text("{}\n")
    if after:
        (folder / "dvc.lock").write_text(after)
    commit = results.push(folder, "newer", parent)
    subject = made.git("log", "-1", "--format=%s", commit).strip()
    assert subject == f"Results of {parent[:8]}{', unchanged to the last bit' if said else ''}"


@pytest.mark.parametrize("last", ["First", f"Another\n\n{results.MARK}: {'c' * 40}-models-digits"])
def test_results_go_to_the_store_and_then_to_the_branch(
    hub: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, last: str
) -> None:
    """Also after those of another model in the same repository. Nothing but the results is committed, no link followed.

    Nor does anything of the branch reach this checkout: its code must not run with the rights of this job.
    """
    Path("other.txt").write_text("1\n")
    made.commit(last)
    parent, folder = published("slower"), tmp_path_factory.mktemp("handed")
    trusted = git.head()
    Path("README.md").write_text("not committed\n")
    stored = handed(folder)
    (folder / "dvc.lock").write_text("lock\n")
    (folder / "reports").mkdir()
    (folder / "reports" / "metrics.json").write_text("{}\n")
    (folder / "reports" / "validate.json").symlink_to(folder / "dvc.lock")
    for name in ("AUTHOR", "COMMITTER"):  # nor anybody's name
        monkeypatch.delenv(f"GIT_{name}_NAME")
        monkeypatch.delenv(f"GIT_{name}_EMAIL")
    of = "c" * 40 if "digits" in last else parent  # the other model's job is of the same run
    commit = results.push(folder, "slower", of)
    assert (hub / "stored").read_text() == f"Results of {parent[:8]} None"
    assert (Path(".store") / stored.relative_to(folder)).read_text() == "rows"
    assert made.git("rev-parse", "slower", cwd=hub).strip() == commit
    assert git.head() == trusted
    assert {path.name for path in Path().iterdir()} == {".git", ".gitignore", ".store", "README.md"}
    assert made.git("log", "-1", "--format=%P %an %ae", commit).strip() == f"{parent} {store.NAME} {store.EMAIL}"
    message = made.git("log", "-1", "--format=%B", commit).strip()
    assert message == f"Results of {parent[:8]}\n\n{results.MARK}: {of}"
    assert made.git("diff", "--name-only", parent, commit).split() == ["dvc.lock", "reports/metrics.json"]
    assert made.git("show", f"{commit}:dvc.lock").strip() == "lock"


def test_results_of_one_model_of_several_are_marked_with_its_folder(
    hub: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(git, "suffix", lambda: "-models-digits")
    folder, parent = tmp_path_factory.mktemp("handed"), published("slower")
    (folder / "dvc.lock").write_text("lock\n")
    monkeypatch.setattr(git, "inside", lambda: Path("models/digits"))
    commit = results.push(folder, "slower", parent)
    assert made.git("log", "-1", "--format=%B", commit).strip().endswith(f"{results.MARK}: {parent}-models-digits")
    assert made.git("diff", "--name-only", parent, commit).split() == ["models/digits/dvc.lock"]


@pytest.mark.parametrize("link", ["dvc.lock", "reports"])
def test_no_result_is_written_through_a_link_of_the_branch(
    link: str, hub: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A link to git's own configuration would become a program that the next command of git runs."""
    Path(link).symlink_to(".git/config" if link == "dvc.lock" else ".git")
    made.git("add", "--force", link)
    made.git("commit", "--quiet", "--message", "A link")
    parent = published("slower")
    before, folder = Path(".git/config").read_text(), tmp_path_factory.mktemp("handed")
    handed_over = folder / ("dvc.lock" if link == "dvc.lock" else "reports/metrics.json")
    handed_over.parent.mkdir(exist_ok=True)
    handed_over.write_text("[core]\nfsmonitor = touch pwned\n")
    if link == "dvc.lock":
        commit = results.push(folder, "slower", parent)
        assert made.git("ls-tree", commit, "dvc.lock").startswith("100644 blob ")  # a file in place of the link
    else:
        with pytest.raises(Failure, match="^git update-index --add: "):
            results.push(folder, "slower", parent)
    assert Path(".git/config").read_text() == before
    assert not Path(".git/metrics.json").exists()


def test_what_was_refused_is_neither_stored_nor_committed(hub: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    before, folder = published("slower"), tmp_path_factory.mktemp("handed")
    handed(folder, name="files/md5/aa/bb")
    (folder / "dvc.lock").write_text("lock\n")
    with pytest.raises(Failure, match="^files/md5/aa/bb is not what its name says; the results are refused$"):
        results.push(folder, "slower", before)
    assert made.git("rev-parse", "slower", cwd=hub).strip() == before
    assert not (hub / "stored").exists()


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


def test_results_go_to_the_bucket_where_that_is_the_default_remote(
    hub: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """What it lacks is handed over, whatever the branch `store` lacks; and it gets all of that, and the branch none."""
    bucket = tmp_path_factory.mktemp("bucket")
    files.write(
        workspace.DVC_CONFIG,
        f"[core]\n    remote = bucket\n['remote \"bucket\"']\n    url = {bucket}\n"
        f"['remote \"store\"']\n    url = {workspace.DVC_REMOTE.resolve()}\n",
    )
    Path("data").mkdir()
    for name in ("old", "new"):
        files.write(Path("data") / name, name)
    dvc.run("add", "--quiet", "data")
    made.git("init", "--quiet", str(workspace.STORE))
    old = hashlib.md5(b"old").hexdigest()
    files.write(bucket / "files" / "md5" / old[:2] / old[2:], "old")
    files.write(Path("dvc.lock"), "lock\n")
    folder = tmp_path_factory.mktemp("handed") / "results"
    results.collect(folder)
    new = sorted(path.relative_to(folder / "dvc") for path in (folder / "dvc").rglob("*") if path.is_file())
    assert len(new) == 2, "the list of the folder and one file"
    shutil.rmtree(workspace.DVC_REMOTE)
    parent = published("slower")
    files.write(workspace.DVC_CONFIG, f"[core]\n    remote = bucket\n['remote \"bucket\"']\n    url = {bucket}\n")
    results.push(folder, "slower", parent)
    assert [(bucket / name).read_bytes() for name in new] == [(folder / "dvc" / name).read_bytes() for name in new]
    assert not workspace.DVC_REMOTE.exists()


@pytest.mark.parametrize(
    ("words", "started"),
    [
        ([], []),
        (["--dispatch", "--number", "12"], [("slower", "c" * 40, 12, "", "develop")]),
        (["--dispatch"], []),  # a branch without a pull request waits for no checks
    ],
)
def test_the_verb_pushes_and_starts_the_checks_where_it_is_asked_to(
    words: list[str], started: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    dispatched: list[tuple] = []
    commits = {(Path("reports/results"), "slower", "b" * 40): "c" * 40}
    monkeypatch.setattr(results, "push", lambda *words: commits[words])
    monkeypatch.setattr(checks, "start", lambda *words: dispatched.append(words))
    monkeypatch.setattr(checks, "base_of_event", lambda: "develop")
    monkeypatch.setattr(github, "summary", said.append)
    assert main(["results", "push", "reports/results", "--branch", "slower", "--of", "b" * 40, *words]) == 0
    assert dispatched == started
    assert said == ["Results committed to `slower` as cccccccc."]


def test_a_push_that_goes_on_failing_is_given_up(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Another job of ours is faster each time."""
    asked: list[tuple[str, ...]] = []

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        asked.append(words)
        return subprocess.CompletedProcess(words, 1, "", "error: failed to push some refs")

    def answer(*words: str) -> str:
        asked.append(words)
        return {"log": f"{store.EMAIL}\n{store.EMAIL}", "rev-parse": "a newer one"}.get(words[0], "")

    monkeypatch.setattr(git, "run", run)
    monkeypatch.setattr(git, "git", answer)
    monkeypatch.setattr(results, "committed", lambda _, parent, message: f"{message} on {parent}")
    with pytest.raises(Failure, match=r"^tuned was not pushed to: error: failed to push some refs$"):
        results._push(folder, "tuned", "head", "Results")
    heads = ["head", *["a newer one"] * (store.TRIES - 1)]
    assert asked == [
        words
        for head in heads
        for words in [
            ("push", "--quiet", "origin", f"Results on {head}:refs/heads/tuned"),
            ("fetch", "--quiet", "origin", "refs/heads/tuned"),
            ("log", "--format=%ae", f"{head}..FETCH_HEAD"),
            ("rev-parse", "FETCH_HEAD"),
        ]
    ]


@pytest.mark.parametrize(("who", "goes"), [(store.EMAIL, True), ("ada@example.org", False)])
def test_what_another_models_job_has_pushed_is_gone_on_from_and_a_persons_work_is_not(
    hub: Path, tmp_path_factory: pytest.TempPathFactory, who: str, goes: bool
) -> None:
    Path("README.md").write_text("Two models\n")
    made.commit("Two models")
    before = git.head() or ""
    Path("digits").mkdir()
    Path("digits/dvc.lock").write_text("1\n")
    made.git("add", "--all")
    made.git("commit", "--quiet", f"--author=Somebody <{who}>", "--message", "Of the other")
    published("tuned")
    folder = tmp_path_factory.mktemp("handed")
    (folder / "dvc.lock").write_text("2\n")
    if goes:
        commit = results._push(folder, "tuned", before, "Of this one")
        assert made.git("rev-parse", "tuned", cwd=hub).strip() == commit
        names = made.git("ls-tree", "-r", "--name-only", "tuned", cwd=hub).split()
        assert names[-2:] == ["digits/dvc.lock", "dvc.lock"]
        assert made.git("log", "-1", "--format=%s", "tuned", cwd=hub).strip() == "Of this one"
    else:
        with pytest.raises(Failure, match="tuned was not pushed to: "):
            results._push(folder, "tuned", before, "Of this one")
        assert made.git("log", "-1", "--format=%s", "tuned", cwd=hub).strip() == "Of the other"


def test_a_full_clone_stays_full_and_a_shallow_one_fetches_one_commit(
    hub: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    for text in ("one", "two"):
        Path("other.txt").write_text(text)
        made.commit(text)
    head = published("tuned")
    assert results.fetch("tuned") == head
    assert made.git("rev-list", "--count", "FETCH_HEAD").strip() == "3"
    made.git("push", "--quiet", "origin", "HEAD:refs/heads/main")
    clone = tmp_path_factory.mktemp("clone")
    made.git("clone", "--quiet", "--depth=1", "--branch=main", f"file://{hub}", str(clone))
    monkeypatch.chdir(clone)
    assert results.fetch("tuned") == head
    assert made.git("rev-list", "--count", "FETCH_HEAD").strip() == "1"


RUNS = f"/actions/runs?event=workflow_dispatch&head_sha={'b' * 40}&per_page=100"
DISPATCH = "/actions/workflows/ci.yml/dispatches"


@pytest.mark.parametrize("path", [".github/workflows/ci.yml@refs/heads/slower", ".github/workflows/ci.yml"])
def test_checks_that_this_commit_has_had_are_not_started_again(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def ask(method: str, url: str, body: dict | None = None) -> dict:
        asked.append((method, url, body))
        return {"workflow_runs": [{"path": path}]}

    monkeypatch.setattr(github, "ask", ask)
    checks.start("slower", "b" * 40, 12)
    assert asked == [("GET", RUNS, None)]


@pytest.mark.parametrize(
    ("given", "inputs"),
    [
        ({}, {}),
        ({"accepted": "clients have moved"}, {"compatibility_reason": "clients have moved"}),
        ({"base": "develop"}, {"base": "develop"}),
    ],
)
def test_checks_are_told_what_a_dispatched_run_does_not_see(
    given: dict, inputs: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def ask(method: str, path: str, body: dict | None = None) -> dict:
        asked.append((method, path, body))
        return {"workflow_runs": [{"path": ".github/workflows/promote.yml"}]}

    monkeypatch.setattr(github, "ask", ask)
    checks.start("slower", "b" * 40, 12, **given)
    assert asked[1:] == [("POST", DISPATCH, {"ref": "slower", "inputs": {"number": "12"} | inputs})]


@pytest.mark.parametrize(
    ("event", "base"),
    [
        ({}, ""),
        ({"repository": {"default_branch": "main"}, "inputs": {"number": "3"}}, ""),
        ({"repository": {"default_branch": "main"}, "inputs": {"number": "3", "base": "develop"}}, "develop"),
        ({"repository": {"default_branch": "main"}, "pull_request": {"base": {"ref": "main"}}}, ""),
        ({"repository": {"default_branch": "main"}, "pull_request": {"base": {"ref": "develop"}}}, "develop"),
        ({"repository": {"default_branch": "trunk"}, "pull_request": {"base": {"ref": "main"}}}, "main"),
    ],
)
def test_the_base_of_the_event_is_that_of_its_pull_request(
    event: dict, base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(github, "event", lambda: event)
    assert checks.base_of_event() == base


@pytest.mark.parametrize(("status", "said"), [(422, "merge the base into the branch"), (403, "no")])
def test_a_branch_whose_workflow_knows_no_number_is_told_what_to_do(
    status: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask(method: str, path: str, body: dict | None = None) -> dict:
        if path == DISPATCH:
            raise GitHubError("no", status=status, reason="Unexpected inputs provided")
        return {"workflow_runs": []}

    monkeypatch.setattr(github, "ask", ask)
    with pytest.raises(Failure, match=said):
        checks.start("slower", "b" * 40, 12)
