"""The simulation of a repository's weeks: no rule is broken, and the simulation would notice."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

import simulation
from delivery.adapters import dvc, git
from delivery.ci import reproduce
from delivery.core import params, workspace
from delivery.decision import gate
from delivery.deploy import admission
from delivery.pull_requests import comments, proposal
from delivery.registry import reading, transitions, writing
from delivery.registry.version import Lineage
from simulation import pipeline, registry
from simulation.campaign import read, told
from simulation.periods import data_file
from simulation.shrink import smallest
from simulation.violation import MINIMUM
from simulation.world import Action
from simulation.year import perform, plan

MORE = Action("more", value="0", environment="note")
LAND = Action("land", value="0", environment="squash")
SEEDS, WEEKS = 8, 4
PARTS = 4  # tests, for as many workers


@pytest.mark.parametrize("part", range(PARTS))
def test_no_rule_is_broken(part: int) -> None:
    for seed in range(part, SEEDS, PARTS):
        history = perform(plan(seed, WEEKS))
        again = f"\nmake simulate FIRST={seed} SEEDS=1 WEEKS={WEEKS}"
        assert history.violation is None, "\n".join([f"seed {seed}", *history.lines, str(history.violation), again])


def test_the_same_seed_gives_the_same_history() -> None:
    """In another process, too, whose sets and dicts have another order."""
    ours = perform(plan(7, 2)).lines
    code = "from simulation.year import perform, plan; print('\\n'.join(perform(plan(7, 2)).lines))"
    paths = os.pathsep.join([str(simulation.ROOT / "tests"), str(simulation.ROOT / "src")])
    variables = os.environ | {"PYTHONPATH": paths, "PYTHONHASHSEED": "123"}
    done = subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ours
    assert sum("->" in line for line in ours) > 5


def test_a_planted_fault_is_found_and_its_history_is_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the rule of admission any push brings back what was rolled back."""
    monkeypatch.setattr(admission, "objection", lambda *_, **__: "")
    actions = [
        Action("change", value="1000001"),
        Action("rollback", environment="staging", fault=("hiccup", 5)),
        Action("drill"),
        Action("note", value="1"),
    ]
    violation = perform(actions).violation
    assert violation
    assert violation.rule == "never back by itself"
    small = smallest(actions, violation.rule)
    assert [action.what for action in small] == ["change", "rollback", "note"]
    assert not [action for action in small if action.fault]
    assert read(told(small)) == small
    assert str(pickle.loads(pickle.dumps(violation))) == str(violation)  # from another process


def test_a_second_proposal_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the open one is overlooked, another check opens its own."""
    monkeypatch.setattr(proposal, "find_open", lambda kind: None)
    monkeypatch.setattr(proposal, "publish", opened)
    violation = perform([Action("monday", "clock", "1")] * 8).violation
    assert violation
    assert violation.rule == "at most one proposal is open"


def test_a_second_report_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the first one is taken for somebody else's."""
    monkeypatch.setattr(comments, "AUTHOR", "nobody")
    assert broken(Action("propose", value="1000001", environment="results"), MORE) == "one report on each pull request"


def test_results_of_another_commit_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a report overlooks that they are stale."""
    monkeypatch.setattr(reproduce, "changed", list)
    assert (
        broken(Action("propose", value="1000001", environment="stale"), LAND)
        == "a branch has the results of its commit"
    )


def test_a_bad_model_that_is_merged_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the gate lets everything pass."""
    data = dvc.data_digest(data_file(params.load().fetch.until))
    bad = next(dial for dial in range(1, 1000) if pipeline.quality(float(dial), data) < MINIMUM)
    monkeypatch.setattr(gate, "worst", lambda _: "pass")
    assert broken(Action("propose", value=str(bad), environment="results"), LAND) == "nothing bad is merged"


def test_refresh_merges_main_and_makes_the_results_again() -> None:
    """Of two pull requests that change another setting each, the second conflicts once the first is merged."""
    history = perform(
        [
            Action("propose", value="1000001", environment="results"),
            Action("propose", value="77", environment="other"),
            LAND,
            LAND._replace(environment="rebase"),
        ]
    )
    assert history.violation is None, history.violation
    assert sum("promote by" in line for line in history.lines) == 4  # at first, twice, at the end


def test_an_old_run_that_is_started_again_commits_no_results_to_a_newer_commit() -> None:
    """Of the runs of both commits the jobs that would have committed results were killed."""
    actions = [
        Action("propose", value="77", environment="stale", fault=("killed", 45)),
        Action("more", value="0", environment="stale", fault=("killed", 45)),
        Action("again", value="2"),
    ]
    history = perform(actions)
    assert history.violation is None, history.violation
    ends = [line for line in history.lines if "ci by ada" in line and "ci / push" in line]
    assert ["push=failure" in line for line in ends] == [True, True, True], "\n".join(history.lines)


def broken(*actions: Action) -> str:
    violation = perform([*actions]).violation
    return violation.rule if violation else ""


def opened(kind, branch, title, body, pull) -> proposal.Done:
    """As `publish` does for a branch that is new."""
    base = git.git("branch", "--show-current")
    proposal.push(kind, branch, title)
    made = proposal.create(branch.name, title, body, base)
    return proposal.Done(branch.name, made.number, made.address, "is opened", proposal.remote_head(branch.name))


def test_the_stand_in_of_the_registry_does_what_mlflow_does(
    alone: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def played(place: str) -> list[object]:
        (tmp_path / place).mkdir()
        monkeypatch.chdir(tmp_path / place)
        Path("files").mkdir()
        Path("files", "card.md").write_text("a card")
        made = [writing.add(Path("files"), Lineage(release=name, digest=name), {"auc": 0.7}) for name in "aba"]
        transitions.ensure("staging", "1", "promote", time="2026-01-01T00:00:00+00:00")
        transitions.ensure("staging", "2", "promote", time="2026-01-02T00:00:00+00:00")
        transitions.record_rollback("staging", "2", "it was slow")
        writing.point("production", "1")
        writing.describe("1", "A text.")
        writing.point("development", "1")
        writing.unpoint("development")
        found = [
            (one.number, one.aliases, one.description, dict(one.tags), reading.metrics(one))
            for one in reading.versions()
        ]
        assert workspace.REGISTRY_DATABASE.exists()
        return [*made, *found]

    real = played("mlflow")
    for owner, name, value in registry.REPLACED:
        monkeypatch.setattr(owner, name, value)
    assert played("stand-in") == real
