"""The metrics are those of the textbooks, weighted or not, and finite at the edges."""

import numpy as np
import pytest
from sklearn import metrics

from problem import HIGHER_IS_BETTER, PRIMARY, losses, score

RNG = np.random.default_rng(0)
P = RNG.random(500)
Y = (RNG.random(500) < P).astype(float)
WEIGHT = RNG.integers(1, 4, 500)

TEXTBOOK = {
    "log_loss": metrics.log_loss,
    "brier": metrics.brier_score_loss,
    "auc": metrics.roc_auc_score,
    "average_precision": metrics.average_precision_score,
}


@pytest.mark.parametrize("name", HIGHER_IS_BETTER)
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["plain", "weighted"])
def test_a_metric_is_that_of_scikit_learn(name: str, weight: np.ndarray | None) -> None:
    assert score(Y, P, weight)[name] == pytest.approx(TEXTBOOK[name](Y, P, sample_weight=weight))


def test_a_weight_is_a_repetition() -> None:
    again = np.repeat(np.arange(500), WEIGHT)
    assert score(Y, P, WEIGHT) == pytest.approx(score(Y[again], P[again]))


@pytest.mark.parametrize("name", losses(Y, P))
def test_a_loss_is_the_metric_before_the_mean(name: str) -> None:
    assert losses(Y, P)[name].mean() == pytest.approx(score(Y, P)[name])
    assert not HIGHER_IS_BETTER[name]


def test_certainty_that_is_wrong_costs_much_and_not_infinitely_much() -> None:
    loss = losses(np.array([0.0, 1, 0, 1]), np.array([1.0, 0, 0, 1]))[PRIMARY]
    assert np.isfinite(loss).all()
    assert loss[:2].min() > 30
    assert loss[2:].max() < 1e-12


def test_a_prediction_that_is_no_number_has_a_loss_that_is_none() -> None:
    assert np.isnan(losses(np.array([1.0]), np.array([np.nan]))[PRIMARY]).all()
