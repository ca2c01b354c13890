"""The flights' scores, resampled."""

import made
import numpy as np
import pytest

from delivery.stats.bootstrap import blocks, scores
from delivery.stats.predictions import PREDICTION
from problem import BLOCK, LABEL, score


def test_a_resample_is_scored_as_if_its_days_were_there_several_times() -> None:
    rows = made.predictions(days=5, a_day=40)
    grouped = blocks(rows[BLOCK], 3, seed=0)
    y, p = rows[LABEL].to_numpy(), rows[PREDICTION].to_numpy()
    again = np.repeat(np.arange(len(rows)), grouped.draws[0][grouped.codes])
    found = scores(y, [p], grouped, 1)
    assert set(found) == {"auc", "average_precision"}
    for name, values in found.items():
        assert values[0, 0] == pytest.approx(score(y[again], p[again])[name])
