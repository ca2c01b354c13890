"""What nobody needs leaves the store with its history; what somebody may ask for stays, and so do other writers' files."""

import json
import subprocess
from pathlib import Path

import made
import pytest

from delivery.__main__ import main
from delivery.adapters import dvc, github, store, store_history
from delivery.core import files, retries, workspace
from delivery.core.errors import Failure
from delivery.registry import compact, needed, registry
from delivery.registry.version import Lineage

pytestmark = pytest.mark.xdist_group("registry")
LONG_AGO = "2026-01-01T00:00:00Z"


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "sleep", lambda seconds: None)


def add_object(content: str) -> str:
    """An object of DVC in the store, and its digest."""
    digest = dvc.digest(content.encode()) + (".dir" if content.startswith("[") else "")
    files.write(workspace.DVC_OBJECTS / digest[:2] / digest[2:], content)
    return digest


def add_model(name: str) -> str:
    """A folder of DVC in the store with one file, and the dvc.lock that names it."""
    listed = add_object(json.dumps([{"md5": add_object(name), "relpath": "model.skops"}]))
    return f"stages:\n  train:\n    outs:\n    - path: artifacts/train\n      md5: {listed}\n"


def commit(name: str, branch: str) -> str:
    """A commit of a model on the remote's branch, with its plots in the store."""
    files.write(workspace.DVC_LOCK, add_model(name))
    made.commit(name)
    made.git("push", "--quiet", "--force", "origin", f"HEAD:refs/heads/{branch}")
    sha = made.git("rev-parse", "HEAD")
    files.write(workspace.PLOTS_KEPT / sha / "roc.png", name)
    return sha


@pytest.fixture
def remote(repository: Path, empty_registry: None, tmp_path_factory: pytest.TempPathFactory, monkeypatch) -> Path:
    """A remote with `main`, the open branch `open`, a closed one, two versions and a retraining, all of last winter."""
    bare = tmp_path_factory.mktemp("hub") / "remote.git"
    made.git("init", "--quiet", "--bare", "--initial-branch", "main", str(bare))
    made.git("remote", "add", "origin", str(bare))
    files.write(workspace.PARAMS, (made.ROOT / "params.yaml").read_bytes())
    monkeypatch.setenv("GIT_COMMITTER_DATE", LONG_AGO)
    store.pull()
    for number in ("1", "2"):
        files.write(Path(f"m{number}") / "export" / "model.onnx", number)
        files.write(Path(f"m{number}") / "dvc.lock", add_model(f"version {number}"))
        registry.add(Path(f"m{number}"), Lineage(digest=files.digest(Path(f"m{number}") / "export")), {"auc": 0.75})
    start = commit("main", "main")
    commit("closed", "closed")
    made.git("reset", "--quiet", "--hard", start)
    commit("open", "open")
    made.git("reset", "--quiet", "--hard", start)
    made.git("push", "--quiet", "origin", ":refs/heads/closed")
    for period in ("2026-01", "2026-02"):
        files.write(workspace.PLOTS_KEPT / f"retrain-{period}" / "gains.png", period)
    made.git("push", "--quiet", "origin", "HEAD:refs/heads/retrain/2026-02")
    store.push("Winter")
    monkeypatch.delenv("GIT_COMMITTER_DATE")
    return bare


def models() -> set[str]:
    """The contents of DVC's objects and of the plots in the store, without lists."""
    paths = [path for folder in (workspace.DVC_OBJECTS, workspace.PLOTS_KEPT) for path in folder.rglob("*")]
    return {path.read_text() for path in paths if path.is_file() and path.suffix != ".dir"}


def tree(remote: Path) -> str:
    return made.git("rev-parse", f"{store.NAMED}^{{tree}}", cwd=remote)


def test_what_a_live_commit_or_a_version_names_stays_and_the_rest_goes_with_the_history(remote: Path) -> None:
    assert models() == {"version 1", "version 2", "main", "closed", "open", "2026-01", "2026-02"}
    result = compact.run(10, 30)
    assert models() == {"version 1", "version 2", "main", "open", "2026-02"}
    assert (result.versions, result.objects, result.plots) == (0, 2, 2), "a file and its list"
    assert made.git("rev-list", "--count", store.NAMED, cwd=remote) == "1"
    assert tree(remote) == made.git("rev-parse", "HEAD^{tree}", cwd=workspace.STORE)
    assert store.pull() == "store: up to date"
    assert made.git("for-each-ref", "refs/delivery", cwd=remote) == ""
    assert registry.download(registry.find("1"), Path("here")).is_dir()


def test_old_versions_lose_their_files_and_then_their_data(remote: Path) -> None:
    result = compact.run(1, 30)
    assert (result.versions, result.objects) == (1, 4)
    assert models() == {"version 2", "main", "open", "2026-02"}
    assert registry.find("1").pruned


def test_what_is_new_stays_because_its_branch_may_name_it_a_moment_later(remote: Path) -> None:
    add_model("on its way")
    files.write(workspace.PLOTS_KEPT / "retrain-2026-03" / "gains.png", "2026-03")
    store.push("Results")
    compact.run(10, 30)
    assert models() == {"version 1", "version 2", "main", "open", "2026-02", "2026-03", "on its way"}


def test_a_branch_whose_pull_request_is_closed_is_not_live_and_a_forks_plots_are(
    remote: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fork = "f" * 40
    files.write(workspace.PLOTS_KEPT / f"{fork}-models-digits" / "roc.png", "fork")
    monkeypatch.setenv("GIT_COMMITTER_DATE", LONG_AGO)
    store.push("Plots of a fork")
    monkeypatch.delenv("GIT_COMMITTER_DATE")
    monkeypatch.setattr(github, "armed", lambda: True)
    fresh = commit("closed", "fresh")  # somebody has begun again, and has no pull request yet
    pull = {"head": {"ref": "words", "sha": fork}}
    monkeypatch.setattr(github, "pages", lambda path: [pull] if path == "/pulls" else [])
    store.push("Plots of a new branch")
    assert compact.run(10, 30).objects == 2
    (workspace.PLOTS_KEPT / fresh / "roc.png").unlink()
    assert models() == {"version 1", "version 2", "main", "fork", "closed"}


def test_the_commits_of_a_month_stay_on_the_branches_that_are_delivered(remote: Path) -> None:
    """A commit on `main` of last week may be the base of a comparison; one of last winter is made again for it."""
    commit("last week", "main")
    commit("today", "main")
    store.push("Two weeks")
    made.git("push", "--quiet", "origin", ":refs/heads/open", ":refs/heads/retrain/2026-02")
    paths = needed.objects(needed.live(30), set())
    kept = {path.read_text() for path in paths if path.exists() and path.suffix != ".dir"}
    assert kept == {"version 1", "version 2", "last week", "today"}


def test_a_writer_that_is_faster_is_kept(
    remote: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory, capsys
) -> None:
    other, verify, asked = tmp_path_factory.mktemp("other"), store_history._verify, []
    made.git("clone", "--quiet", "--branch", "store", str(remote), str(other))

    def overtaken(new: str) -> None:
        verify(new)
        asked.append(new)
        if len(asked) == 1:
            (other / "drift.jsonl").write_text("a decision")
            made.commit("Drift check", cwd=other)
            made.git("push", "--quiet", "origin", "HEAD:store", cwd=other)

    monkeypatch.setattr(store_history, "_verify", overtaken)
    assert main(["compact"]) == 0
    assert "compact: removed the files of 0 version(s), 2 object(s) and 2 plot(s)" in capsys.readouterr().out
    assert len(asked) == 2
    assert (workspace.STORE / "drift.jsonl").read_text() == "a decision"
    assert made.git("rev-list", "--count", store.NAMED, cwd=remote) == "1"


def hook(remote: Path, name: str, text: str) -> None:
    path = remote / "hooks" / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        # The remote has other files than were sent: the history must not be given up for them.
        ("post-receive", "git update-ref refs/delivery/next main", "the history of the store stays as it is"),
        # A rule of the branch against all pushes.
        ("update", '[ "$1" != refs/heads/store ]', "the store could not be pushed: .*hook declined"),
    ],
)
def test_without_proof_or_permission_nothing_changes(remote: Path, name: str, text: str, message: str) -> None:
    before, held = made.git("rev-parse", "store", cwd=remote), models()
    hook(remote, name, text)
    with pytest.raises(Failure, match=message):
        compact.run(10, 30)
    assert made.git("rev-parse", "store", cwd=remote) == before
    assert models() == held
    assert store.pull() == "store: up to date"
    (remote / "hooks" / name).unlink()
    assert compact.run(10, 30).objects == 2, "and the next run succeeds"


def test_where_a_rule_protects_the_history_the_files_go_and_the_history_stays(remote: Path, capsys) -> None:
    """As `.github/rulesets/store.json` does for everybody without the role Admin, workflows among them."""
    before = made.git("rev-parse", "store", cwd=remote)
    made.git("config", "receive.denyNonFastForwards", "true", cwd=remote)
    assert main(["compact"]) == 0
    printed = capsys.readouterr().out
    assert "removed the files of 0 version(s), 2 object(s) and 2 plot(s)" in printed
    assert "its history stays (" in printed
    assert "let your App bypass it, or run `delivery compact` as somebody with the role Admin" in printed
    assert models() == {"version 1", "version 2", "main", "open", "2026-02"}
    assert made.git("rev-parse", "store~1", cwd=remote) == before
    assert made.git("for-each-ref", "refs/delivery", cwd=remote) == ""
    assert store.pull() == "store: up to date"
    made.git("config", "receive.denyNonFastForwards", "false", cwd=remote)
    assert main(["compact"]) == 0
    assert "its history stays" not in capsys.readouterr().out
    assert made.git("rev-list", "--count", store.NAMED, cwd=remote) == "1"


def test_a_dry_run_changes_nothing(remote: Path, capsys) -> None:
    before, held = made.git("rev-parse", "store", cwd=remote), models()
    assert main(["compact", "--dry-run"]) == 0
    assert "would remove the files of 0 version(s), 2 object(s) and 2 plot(s)" in capsys.readouterr().out
    assert (made.git("rev-parse", "store", cwd=remote), models()) == (before, held)


def test_records_that_were_never_pushed_and_a_shallow_checkout_stop_it(
    remote: Path, tmp_path_factory, monkeypatch
) -> None:
    add_model("mine")
    with pytest.raises(Failure, match="run `delivery store push` first"):
        compact.run(10, 30)
    store.push("Mine")
    commit("a second commit on main", "main")
    place = tmp_path_factory.mktemp("shallow")
    subprocess.run(["git", "clone", "--quiet", "--depth", "1", f"file://{remote}", str(place)], check=True)
    monkeypatch.chdir(place)
    with pytest.raises(Failure, match="git fetch --unshallow"):
        compact.run(10, 30)


def test_nonsense_is_refused(repository: Path, capsys) -> None:
    assert main(["compact", "--keep", "0"]) == 1
    assert main(["compact", "--days", "0"]) == 1
    assert main(["compact"]) == 1
    assert "there is no remote" in capsys.readouterr().err


def test_before_the_first_version_there_is_nothing_to_do(repository: Path, tmp_path_factory, capsys) -> None:
    bare = tmp_path_factory.mktemp("hub") / "remote.git"
    made.git("init", "--quiet", "--bare", str(bare))
    made.git("remote", "add", "origin", str(bare))
    assert main(["compact"]) == 0
    assert "there is no branch `store` yet" in capsys.readouterr().out
    bare.rename(bare.with_name("gone.git"))
    assert main(["compact"]) == 1
    assert "the remote does not answer" in capsys.readouterr().err
