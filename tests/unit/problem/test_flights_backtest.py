"""The backtest's command on the flights."""

import json
from pathlib import Path

import made
import pytest

from delivery.__main__ import main
from delivery.core import workspace
from delivery.core.params import Params
from delivery.data import tables
from delivery.drift import backtest, check


def test_the_command_decides_as_drift_does(
    project: Path, little: Path, settings: Params, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    """On the small project, whose only month to come is March."""
    import shutil

    lenient = made.changed(settings, drift__min_rows=100, drift__min_days=5)
    shutil.copytree(little, workspace.CACHE / "drift" / "2013-03")
    for module in (tables, backtest):
        monkeypatch.setattr(module, "periods", lambda: ["2013-01", "2013-02", "2013-03"])
    monkeypatch.setattr(backtest.params, "load", lambda: lenient)
    assert not main(["backtest", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert set(found) == set(backtest.MODES)
    (row,) = found["frozen"]["months"]
    checked = check.run(lenient, "2013-03")
    assert (row["verdict"], row["why"]) == (checked.verdict, checked.why)
    assert workspace.BACKTEST_PLOT.read_bytes().startswith(b"\x89PNG")
    assert workspace.BACKTEST.exists()
