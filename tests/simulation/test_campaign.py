"""A run over many seeds can be killed and goes on, and one seed that breaks a rule stops no other."""

import json
from pathlib import Path

import pytest

from simulation import campaign
from simulation.campaign import Ended


def invented(seed: int, weeks: int, commit: str) -> Ended:
    return Ended(seed, weeks, commit, "2026-01-05", f"digest {seed}", 1.0, "a rule" if seed == 2 else "")


def test_a_run_goes_on_after_the_seeds_that_have_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(campaign, "version", lambda: "a commit")
    file = tmp_path / "seeds.jsonl"
    campaign.note(file, invented(1, 3, "a commit"))
    campaign.note(file, invented(3, 4, "a commit"))  # of fewer weeks, and of another commit
    campaign.note(file, invented(4, 3, "another commit"))
    with file.open("a") as lines:
        lines.write('{"seed": 0, "we')  # killed at that moment
    ended = list(campaign.run(range(5), 3, 2, file, invented))
    assert sorted(each.seed for each in ended) == [0, 2, 3, 4]
    assert sorted(each.seed for each in campaign.known(file, 3, "a commit")) == [0, 1, 2, 3, 4]
    assert [each.seed for each in campaign.known(file, 3, "a commit") if each.broken] == [2]
    assert not list(campaign.run(range(5), 3, 2, file, invented))
    assert json.loads(file.read_text().splitlines()[0])["digest"] == "digest 1"


def test_one_process_simulates_all_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(campaign, "version", lambda: "a commit")
    assert len(list(campaign.run(range(20), 3, 1, None, invented))) == 20


def test_an_error_of_the_simulation_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_) -> None:
        raise RuntimeError("git said no")

    monkeypatch.setattr(campaign, "perform", broken)
    ended = campaign.one(3, 1, "a commit")
    assert "git said no" in ended.broken
    assert campaign.read(ended.small) == campaign.plan(3, 1)


def test_the_version_is_a_commit() -> None:
    assert len(campaign.version().partition("-")[0]) == 40
