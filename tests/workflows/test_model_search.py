"""A search's winner as a pull request from a laptop: params.yaml alone, one at a time, and never over somebody's work."""

import subprocess
from pathlib import Path

import pytest
from harness import server
from harness.gitserver import git
from harness.hub import Hub, Token
from sample import ROOT

from delivery.core import params
from delivery.core.errors import Failure
from delivery.search.propose import propose
from delivery.search.verdict import SearchResult, TrialRow

ADA = Token("ada", "acme/demo", "person")


@pytest.fixture
def hub(tmp_path: Path):
    made = Hub(tmp_path / "hub")
    with server.running(made):
        yield made


@pytest.fixture
def laptop(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone of a repository with a params.yaml, the token of its owner, and the clone as the current folder."""
    repo = hub.repository(ADA.repo)
    secret = hub.token(ADA.login, ADA.repo, "person")
    folder = tmp_path / "laptop"
    git(tmp_path, "clone", "--quiet", f"{hub.url.replace('://', f'://ada:{secret}@')}/{ADA.repo}.git", folder)
    (folder / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    (folder / "notes.txt").write_text("mine\n")
    git(folder, "checkout", "--quiet", "-B", "main")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "A project")
    git(folder, "push", "--quiet", "origin", "main")
    for name, value in {"TOKEN": secret, "REPOSITORY": repo.name, "API_URL": f"{hub.url}{server.API}"}.items():
        monkeypatch.setenv(f"GITHUB_{name}", value)
    monkeypatch.chdir(folder)
    return folder


def found(**best) -> SearchResult:
    """Return the result of a search whose winner has these settings."""
    return SearchResult(
        rows=1000,
        blocks=30,
        confidence=0.95,
        trials=(TrialRow({}, 0.5, 0.0, 1.0), TrialRow(best, 0.5, 0.01, 1.0)),
        failed=(),
        best=best,
        gain=0.01,
        low=0.002,
        better=True,
        folds=("2013-04",),
    )


def test_the_winner_is_one_pull_request_that_changes_params_alone(hub: Hub, laptop: Path):
    said = propose(found(learning_rate=0.0123, max_leaf_nodes=63))
    repo = hub.repos[ADA.repo]
    (pull,) = repo.pulls.values()
    assert said.startswith(f"#{pull['number']} is opened")
    assert pull["title"] == "Settings from a model search: learning_rate 0.0123, max_leaf_nodes 63"
    assert [label["name"] for label in pull["labels"]] == ["model search"]
    assert "at 95% at least +0.0020 with all 2 trials taken into account" in pull["body"]
    change = git(repo.path, "diff", "--unified=0", "main", pull["head"]["sha"])
    assert git(repo.path, "diff", "--name-only", "main", pull["head"]["sha"]) == "params.yaml"
    assert [line for line in change.splitlines() if line[:1] in "+-" and line[1:2] == " "] == [
        "-  learning_rate: 0.05     # hist_gradient_boosting: this and the next three",
        "+  learning_rate: 0.0123   # hist_gradient_boosting: this and the next three",
        "-  max_leaf_nodes: 31      # random_forest too: some hundreds there",
        "+  max_leaf_nodes: 63      # random_forest too: some hundreds there",
    ]
    assert params.parse(repo.file(pull["head"]["sha"], "params.yaml")).train.max_leaf_nodes == 63
    assert git(laptop, "branch", "--show-current") == "main", "the laptop is as it was"
    assert git(laptop, "status", "--porcelain") == ""

    propose(found(max_iter=77))
    assert list(repo.pulls) == [pull["number"]], "a later search brings the open one up to date"
    assert pull["title"] == "Settings from a model search: max_iter 77"
    assert params.parse(repo.file(pull["head"]["sha"], "params.yaml")).train.learning_rate == 0.05


def test_what_was_closed_is_not_opened_again(hub: Hub, laptop: Path):
    propose(found(max_iter=77))
    repo = hub.repos[ADA.repo]
    (pull,) = repo.pulls.values()
    pull["state"] = "closed"
    assert f"#{pull['number']} was closed without being merged" in propose(found(max_iter=77))
    assert len(repo.pulls) == 1


def test_somebody_elses_work_stays_as_it_is(hub: Hub, laptop: Path):
    propose(found(max_iter=77))
    repo = hub.repos[ADA.repo]
    (pull,) = repo.pulls.values()
    git(laptop, "checkout", "--quiet", pull["head"]["ref"])
    git(laptop, "commit", "--quiet", "--allow-empty", "--message", "My own")
    git(laptop, "push", "--quiet", "origin", "HEAD")
    theirs = git(laptop, "rev-parse", "HEAD")
    git(laptop, "checkout", "--quiet", "main")
    assert "is left as it is" in propose(found(max_iter=78))
    assert pull["head"]["sha"] == theirs
    (comment,) = repo.comments.values()
    assert "so nothing is changed here" in comment["body"]


def test_work_that_is_not_committed_or_pushed_is_not_taken_along(hub: Hub, laptop: Path):
    (laptop / "notes.txt").write_text("changed\n")
    with pytest.raises(Failure, match="not committed; commit or stash them"):
        propose(found(max_iter=77))
    git(laptop, "commit", "--quiet", "--all", "--message", "Mine")
    with pytest.raises(Failure, match="as the remote has it"):
        propose(found(max_iter=77))
    assert hub.repos[ADA.repo].pulls == {}
    assert (laptop / "notes.txt").read_text() == "changed\n"


def test_without_a_token_the_commands_are_printed_and_work(hub: Hub, laptop: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("GITHUB_TOKEN")
    for name in ("AUTHOR", "COMMITTER"):  # as on the laptop of anybody who commits
        monkeypatch.setenv(f"GIT_{name}_NAME", "Ada")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "ada@example.org")
    said = propose(found(learning_rate=0.0123))
    assert hub.calls == []
    assert git(laptop, "status", "--porcelain") == ""
    change, commands = said.partition("\n\n")[2].split("\n\n")
    subprocess.run(["git", "apply"], input=change + "\n", text=True, check=True)
    assert params.load().train.learning_rate == 0.0123
    for line in commands.splitlines()[:3]:
        subprocess.run(line, shell=True, check=True, capture_output=True)
    (branch,) = [
        ref for ref in git(hub.repos[ADA.repo].path, "branch", "--format=%(refname:short)").split() if ref != "main"
    ]
    assert branch.startswith("search/")
    assert commands.splitlines()[3] == "gh pr create --fill"
