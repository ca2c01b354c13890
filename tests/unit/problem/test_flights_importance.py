"""What decides whether flights are late leads the table."""

import numpy as np

from delivery.core.params import Params
from delivery.pipeline import evaluate
from problem import FEATURES, LABEL


def test_the_feature_that_decides_leads_and_one_that_is_not_used_is_worth_nothing(rows, settings: Params) -> None:
    at = FEATURES.index("late_rate")
    test = rows[1].assign(**{LABEL: (rows[1]["late_rate"].fillna(0) > 0.2).astype(float)})

    def scorer(values) -> np.ndarray:
        return np.array([0.9 if row[at] > 0.2 else 0.1 for row in values])

    table = evaluate.importance(scorer, test, settings)
    assert table[0].feature == "late_rate"
    assert table[0].mean > 0.1
    assert {row.feature for row in table} == set(FEATURES)
    assert all(row.mean == 0 for row in table[1:])
