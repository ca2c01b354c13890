"""A month scored with the version that serves: the same predictions at once and a few days at a time."""

import argparse
import shutil
from pathlib import Path

import pandas as pd
import pytest
from msgspec.structs import replace
from sample import MONTHS

from delivery.compute import processes
from delivery.core import workspace
from delivery.core.errors import Failure
from delivery.data import windows
from delivery.registry import registry
from delivery.registry.version import Version
from delivery.scoring import batch


@pytest.fixture
def month(project: Path, little: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """One that the source has sent, scored in this process by the project's model."""
    shutil.copytree(little, workspace.CACHE / "drift" / MONTHS[2])
    version = Version(number="1", digest="a digest")
    monkeypatch.setattr(batch, "serving", lambda which: version)
    monkeypatch.setattr(registry, "download", lambda version, to: Path("artifacts/train"))
    monkeypatch.setattr(windows, "ROWS", 100)
    monkeypatch.setattr(processes, "PROCESSES", 1)
    return MONTHS[2]


def test_a_month_is_scored_the_same_by_days(month: str) -> None:
    found = []
    for engine in ("memory", "stream"):
        about = batch.run(month, "", engine)
        found.append((replace(about, scored=""), pd.read_parquet(workspace.BATCH / month / "predictions.parquet")))
    assert len(windows.cut(month, "stream", workspace.CACHE / "drift" / month)) > 3
    assert found[0][0] == found[1][0]
    assert found[0][0].rows == len(found[0][1]) > 10
    assert found[0][0].mean == pytest.approx(found[0][1]["prediction"].mean(), abs=1e-6)
    pd.testing.assert_frame_equal(found[0][1], found[1][1], check_exact=True)


@pytest.mark.parametrize("option", ["--period", "--month"])
def test_the_period_has_a_former_name(option: str) -> None:
    parser = argparse.ArgumentParser()
    batch.arguments(parser)
    assert parser.parse_args([option, "2013-07"]).period == "2013-07"


def test_a_month_without_rows_is_refused_and_nothing_written(month: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "PERIOD", "carrier")  # whose values are no month
    with pytest.raises(Failure, match=f"the source has no rows of {month}"):
        batch.run(month, "", "stream")
    assert not (workspace.BATCH / month).exists()
