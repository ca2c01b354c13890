"""How much of a loss one column explains, and the sentences about it."""

import made
import numpy as np
import pandas as pd
import pytest

from delivery.core.params import Params
from delivery.drift import explain
from delivery.stats import shift
from delivery.stats.predictions import PREDICTION, values
from problem import LABEL, PRIMARY, losses


def test_a_shifted_column_explains_the_loss_of_its_shift() -> None:
    """Rows of kind b lose 1, of kind a nothing; b goes from a tenth to a half."""
    before = pd.DataFrame({"kind": ["a"] * 900 + ["b"] * 100, "other": np.arange(1000) % 7})
    now = pd.DataFrame({"kind": ["a"] * 500 + ["b"] * 500, "other": np.arange(1000) % 7})
    loss = (now["kind"] == "b").to_numpy(float)
    rows = explain.attribution(before, now, loss, shift.bins(before, ["other", "kind"]))
    assert [row.column for row in rows] == ["kind", "other"]
    assert rows[0].explains == pytest.approx(0.4)
    assert rows[1].explains == pytest.approx(0, abs=0.01)


def test_nothing_is_explained_if_the_former_values_are_gone() -> None:
    before, now = pd.DataFrame({"month": [5.0] * 100}), pd.DataFrame({"month": [6.0] * 100})
    own = {"month": shift.Bins(np.array([6.0]), None)}
    (row,) = explain.attribution(before, now, np.ones(100), own)
    assert row.explains is None
    assert row.overlap == 0


def test_the_segment_with_the_largest_part_leads() -> None:
    rows = made.predictions(days=5)
    loss = losses(rows[LABEL].to_numpy(), values(rows[PREDICTION]))[PRIMARY]
    harder = loss + made.inside(rows) * 0.5
    table = explain.by_segment(rows, rows, [loss, harder.to_numpy()], 20)
    assert table[0].segment == made.PART
    assert table[0].rise == pytest.approx(0.5)
    assert table[0].part == pytest.approx(0.5 * made.inside(rows).mean())


def test_a_rise_and_its_interval(settings: Params) -> None:
    rows = made.predictions()
    worse = made.worse(rows, 0.1)
    before, now = (explain.performance(each, values(each[PREDICTION]), settings.compare) for each in (rows, worse))
    assert explain.rise(before, before, settings.compare).value == 0
    found = explain.rise(before, now, settings.compare)
    assert found.low < found.value < found.high
    assert found.value == pytest.approx(now.loss - before.loss)
    assert len(now.blocks) == 30
