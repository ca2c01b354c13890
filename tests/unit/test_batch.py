"""A month scored with the version that serves: the same predictions at once and a few days at a time."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from sample import MONTHS

from delivery import batch, files, processes, registry, windows


def test_a_month_is_scored_the_same_by_days(project: Path, little: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(little, files.CACHE / "drift" / MONTHS[2])
    version = SimpleNamespace(version="1", tags={registry.DIGEST: "a digest"})
    monkeypatch.setattr(batch, "serving", lambda which: version)
    monkeypatch.setattr(registry, "connect", lambda: None)
    monkeypatch.setattr(registry, "download", lambda client, version, to: Path("artifacts/train"))
    monkeypatch.setattr(windows, "ROWS", 100)
    monkeypatch.setattr(processes, "PROCESSES", 1)
    found = []
    for engine in ("memory", "stream"):
        about = batch.run(MONTHS[2], "", engine)
        found.append((about | {"scored": ""}, pd.read_parquet(batch.FOLDER / MONTHS[2] / "predictions.parquet")))
    assert len(windows.cut(MONTHS[2], "stream", files.CACHE / "drift" / MONTHS[2])) > 3
    assert found[0][0] == found[1][0]
    assert found[0][0]["rows"] == len(found[0][1]) > 10
    pd.testing.assert_frame_equal(found[0][1], found[1][1], check_exact=True)
