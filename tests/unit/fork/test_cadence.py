"""Schedules that start as often as periods come: what cron means, what fits, and what is changed."""

import shutil
from pathlib import Path
from typing import Any

import made
import pytest
import yaml

from delivery.core import params
from delivery.core.errors import Failure
from delivery.core.params import Params
from delivery.fork import adopt, cadence


@pytest.mark.parametrize(
    ("cron", "times"),
    [
        ("43 4 2 * *", 12),
        ("17 5 * * 1", 52),
        ("17 5 * * mon", 52),
        ("17 5 * * 0", 52),
        ("17 5 * * 7", 52),
        ("23 2 * * *", 365),
        ("*/20 8-9 * * *", 365 * 6),
        ("0,30 0/12 1 jan,JUL *", 2 * 2 * 2),
        ("0 0 1 * 1", 12 + 52 - 1),  # a day of the month or of the week; June 1st is both
        ("0 0 */2 * 1-5", 132),  # with a star in one of them both must fit
        ("0 0 31 2 *", 0),
        ("5 4 * * 1,4", 105),
    ],
)
def test_how_often_a_schedule_starts(cron: str, times: int) -> None:
    """In 2026: its first day is a Thursday."""
    assert cadence.a_year(cron) == times


@pytest.mark.parametrize(
    "cron", ["", "17 5 * *", "60 5 * * 1", "@daily", "17 5 * * funday", "17 5 0 * *", "1 2 3 4 5 6"]
)
def test_what_is_no_schedule_is_named(cron: str) -> None:
    with pytest.raises(Failure, match="is no schedule"):
        cadence.a_year(cron)


@pytest.mark.parametrize(
    ("periods", "late", "cron"),
    [
        (12, 0, "17 5 2 * *"),
        (12, 10, "17 5 12 * *"),
        (4, 30, "17 5 5 * *"),
        (52, 0, "17 5 * * 1"),
        (52, 3, "17 5 * * 4"),
        (52, 6, "17 5 * * 0"),
        (365, 2, "17 5 * * *"),
        (8760, 0, "17 5 * * *"),
    ],
)
def test_what_fits(periods: int, late: int, cron: str) -> None:
    assert cadence.fitting("17 5 * * 1", periods, late) == cron
    assert cadence.a_year(cron) >= min(periods, 365)


@pytest.fixture
def workflows(repository: Path, settings: Params, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(made.ROOT / cadence.WORKFLOWS, cadence.WORKFLOWS)
    having(settings, monkeypatch)
    return cadence.WORKFLOWS


def having(settings: Params, monkeypatch: pytest.MonkeyPatch, **values: Any) -> Params:
    changed = made.changed(settings, **{f"drift__{name}": value for name, value in values.items()})
    monkeypatch.setattr(params, "load", lambda: changed)
    monkeypatch.setattr(params, "judging", lambda: changed.drift)
    return changed


def crons() -> list[str]:
    files = [yaml.safe_load((cadence.folder() / name).read_text()) for name in ("batch.yml", "drift.yml")]
    return [document[True]["schedule"][0]["cron"] for document in files]


def test_the_template_s_own_fit_months_and_nothing_is_changed(workflows: Path) -> None:
    before = {path: path.read_bytes() for path in workflows.iterdir()}
    assert cadence.examine().state == "ready"
    assert cadence.settle(params.load().drift) == []
    assert {path: path.read_bytes() for path in workflows.iterdir()} == before


def test_a_slow_schedule_is_named_with_its_fix(
    workflows: Path, settings: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    having(settings, monkeypatch, periods_per_year=52)
    finding = cadence.examine()
    assert (finding.state, finding.found) == ("optional", "slower than the 52 periods of a year come: batch.yml")
    assert finding.fix.startswith('`- cron: "43 4 * * 1"` in .github/workflows/batch.yml; or ')
    having(settings, monkeypatch, periods_per_year=365)
    assert ": batch.yml, drift.yml" in cadence.examine().found


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ({"periods_per_year": 52}, ["43 4 * * 1", "17 5 * * 1"]),
        ({"periods_per_year": 52, "label_days": 3}, ["43 4 * * 1", "17 5 * * 4"]),
        ({"periods_per_year": 365}, ["43 4 * * *", "17 5 * * *"]),
        ({"periods_per_year": 12, "label_days": 9}, ["43 4 2 * *", "17 5 * * 1"]),  # within a week of the labels
    ],
)
def test_schedules_are_settled_once_and_the_rest_of_the_file_stays(
    workflows: Path, settings: Params, monkeypatch: pytest.MonkeyPatch, values: dict[str, int], found: list[str]
) -> None:
    chosen = having(settings, monkeypatch, **values)
    before = [(workflows / name).read_text().splitlines() for name in ("batch.yml", "drift.yml")]
    lines = cadence.settle(chosen.drift)
    assert crons() == found
    assert all(" in place of " in line for line in lines)
    for name, old in zip(("batch.yml", "drift.yml"), before, strict=True):
        new = (workflows / name).read_text().splitlines()
        assert len(new) == len(old)
        assert sum(one != other for one, other in zip(new, old, strict=True)) <= 1
    assert cadence.settle(chosen.drift) == []
    assert cadence.examine().state == "ready"


def test_a_run_takes_as_many_periods_as_come_until_the_next(
    workflows: Path, settings: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of hours there are 24 in a day, and one run."""
    cadence.settle(having(settings, monkeypatch, periods_per_year=8760).drift)
    finding = cadence.examine()
    assert finding.state == "optional"
    assert finding.found.endswith("more periods come between two runs than drift.max_judged 4")
    assert finding.fix == "`batch.max_periods: 24`, `drift.max_judged: 24` in params.yaml"
    enough = made.changed(params.load(), batch__max_periods=24, drift__max_judged=24)
    monkeypatch.setattr(params, "load", lambda: enough)
    assert cadence.examine().state == "ready"


def test_a_model_below_the_root_and_a_repository_without_these_workflows(
    workflows: Path, settings: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = having(settings, monkeypatch, periods_per_year=52)
    (Path.cwd() / "models" / "one").mkdir(parents=True)
    monkeypatch.chdir("models/one")
    assert cadence.examine().state == "optional"
    assert len(cadence.settle(chosen.drift)) == 1
    shutil.rmtree(cadence.folder())
    assert cadence.settle(chosen.drift) == []
    assert cadence.examine().state == "ready"


def test_a_schedule_that_cannot_be_read_stops_nothing(workflows: Path) -> None:
    path = workflows / "batch.yml"
    path.write_text(path.read_text().replace("43 4 2 * *", "sometimes"))
    finding = cadence.examine()
    assert (finding.state, finding.found) == ("unknown", "'sometimes' is no schedule")
    assert cadence.settle(params.load().drift) == []


def test_adopt_settles_them(workflows: Path, settings: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    having(settings, monkeypatch, periods_per_year=52)
    monkeypatch.setattr(adopt, "fetch", lambda folder, to: to.mkdir())
    monkeypatch.setattr(adopt, "place", lambda folder: None)
    monkeypatch.setattr(adopt.dvc, "run", lambda *_: None)
    made.commit("The workflows")
    example = next(path for path in sorted((made.ROOT / "examples").iterdir()) if path.is_dir())
    said = adopt.run(example)
    assert 'adopt: .github/workflows/batch.yml: cron "43 4 * * 1" in place of "43 4 2 * *"\nadopt: ' in said
    assert crons() == ["43 4 * * 1", "17 5 * * 1"]
