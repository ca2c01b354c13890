"""The choice that trains across machines, one of which is lost over it."""

from functools import partial
from pathlib import Path

import engines
import pytest
from msgspec.structs import replace
from sklearn.ensemble import _forest

from delivery.core import params, workspace
from delivery.pipeline import train


def test_a_forest_is_the_same_file(project: Path, workers: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    settings = params.load()
    settings = replace(settings, train=replace(settings.train, model="random_forest", max_iter=12))
    train.run(settings)
    alone = workspace.MODEL.read_bytes()
    workspace.MODEL.unlink()
    mark = project / "killed"
    grow = partial(engines.dying, str(mark), 2, _forest._parallel_build_trees)
    monkeypatch.setattr(_forest, "_parallel_build_trees", grow)
    train.run(replace(settings, engine=workers))
    assert mark.exists()
    assert workspace.MODEL.read_bytes() == alone
