"""The branch of a retraining: who has commits on it, and that nobody's are overwritten; tests/workflows has the rest."""

from pathlib import Path
from typing import Any

import made
import pytest

from delivery.adapters import github, store
from delivery.core.errors import Failure
from delivery.pull_requests import proposal
from delivery.pull_requests.proposal import RETRAINING

NAME = "retrain/2013-07"


@pytest.fixture
def hub(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A remote whose main is the current folder's, with params.yaml changed here as a retraining does."""
    bare = tmp_path_factory.mktemp("hub") / "origin.git"
    made.git("init", "--quiet", "--bare", str(bare))
    made.git("remote", "add", "origin", str(bare))
    Path("params.yaml").write_text("until: 1\n")
    made.commit("A project")
    made.git("push", "--quiet", "origin", "main")
    Path("params.yaml").write_text("until: 2\n")
    return bare


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What GitHub answers to a comparison."""
    said: dict[str, Any] = {"commits": []}
    monkeypatch.setattr(github, "ask", lambda method, path, body=None: said)
    return said


def pushed_by(name: str, email: str, hub: Path) -> dict[str, Any]:
    """A commit of that person on the branch, as GitHub describes it."""
    made.git("checkout", "--quiet", "-B", NAME)
    made.git("commit", "--quiet", "--allow-empty", "--message", f"Work by {name}")
    made.git("push", "--quiet", "--force", str(hub), f"HEAD:refs/heads/{NAME}")
    sha, parent, tree = made.git("log", "-1", "--format=%H %P %T").split()
    made.git("checkout", "--quiet", "main")
    person = {"name": name, "email": email}
    return {
        "sha": sha,
        "parents": [{"sha": parent}],
        "commit": {"author": person, "committer": person, "tree": {"sha": tree}},
    }


def test_a_missing_branch_belongs_to_nobody(hub: Path) -> None:
    assert proposal.inspect_branch(NAME) == proposal.Branch(NAME)


def test_a_branch_has_others_once_somebody_else_commits_to_it(hub: Path, compared: dict) -> None:
    compared["commits"] = [pushed_by(store.NAME, store.EMAIL, hub)]
    assert proposal.inspect_branch(NAME).others == ""
    compared["commits"].append(pushed_by("Ada", "ada@example.org", hub))
    found = proposal.inspect_branch(NAME)
    assert (found.others, found.head) == ("Ada", compared["commits"][1]["sha"])


def test_the_same_content_is_not_pushed_again_and_a_change_is(hub: Path, compared: dict) -> None:
    assert proposal.push(RETRAINING, proposal.Branch(NAME), "Retrain")
    sha, parent, tree = made.git("log", "-1", "--format=%H %P %T").split()
    ours = proposal.Branch(NAME, sha, (tree, parent))
    again(NAME)
    assert not proposal.push(RETRAINING, ours, "Retrain")
    assert made.git("rev-parse", NAME, cwd=hub) == sha
    again(NAME)
    Path("params.yaml").write_text("until: 3\n")
    assert proposal.push(RETRAINING, ours, "Retrain")
    assert made.git("show", f"{NAME}:params.yaml", cwd=hub) == "until: 3"


def test_a_push_made_while_the_model_trains_is_not_overwritten(hub: Path, compared: dict) -> None:
    ours = pushed_by(store.NAME, store.EMAIL, hub)
    compared["commits"] = [ours]
    seen = proposal.inspect_branch(NAME)
    theirs = pushed_by("Ada", "ada@example.org", hub)["sha"]
    with pytest.raises(Failure, match="git push"):
        proposal.push(RETRAINING, seen, "Retrain")
    assert made.git("rev-parse", NAME, cwd=hub) == theirs


def again(branch: str) -> None:
    """Start a new run: check out main, with the changed file in the folder."""
    text = Path("params.yaml").read_text()
    made.git("checkout", "--quiet", "--force", "main")
    made.git("branch", "--quiet", "-D", branch)
    Path("params.yaml").write_text(text)
