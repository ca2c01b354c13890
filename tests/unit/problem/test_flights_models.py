"""The flights' kinds of models, trained and exported."""

import made
import pytest

from delivery.core.errors import Failure
from delivery.core.params import Params
from delivery.pipeline import train


def test_a_model_that_does_not_converge_is_refused_with_the_fix(rows, settings: Params) -> None:
    hasty = made.changed(settings, train__model="logistic_regression", train__max_iter=1)
    with pytest.raises(Failure, match=r"logistic_regression did not converge \(.*\); raise train\.max_iter") as failure:
        train.fit(rows[0].head(3000), hasty.train)
    assert "\n" not in str(failure.value)


@pytest.mark.parametrize("kind", ["logistic_regression", "dummy"])
def test_a_model_without_iterations_has_a_curve_of_one_point(kind: str, rows, settings: Params) -> None:
    chosen = made.changed(settings, train__model=kind, train__max_iter=1000)
    few = rows[0].head(2000)
    assert len(train.curve(train.fit(few, chosen.train), few)) == 1
