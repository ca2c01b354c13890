"""What ends a canary, and what does not."""

import numpy as np
import pytest

from delivery.core import params
from delivery.deploy import canary
from delivery.deploy.counts import Counts

SETTINGS = params.Canary([50], 100, 60, max_error_rate=0.001, max_slower=1.5, slower_ms=2.0, score_psi=0.25)
BOUNDS = np.array([0.001, 0.01, 0.1, np.inf])
HALVES = np.array([0.5, 1.0, np.inf])


def counts(
    requests: int = 1000, errors: int = 0, ms: float = 5.0, scores: tuple = (500, 500, 0), bounds=HALVES
) -> Counts:
    place = int(np.searchsorted(BOUNDS, ms / 1e3))
    times = np.eye(len(BOUNDS))[place] * requests
    return Counts(requests, errors, requests * ms / 1e3, times, BOUNDS, np.array(scores, float), bounds)


@pytest.mark.parametrize(
    ("ours", "theirs", "words"),
    [
        (counts(), counts(), None),
        (counts(errors=1), counts(), None),  # one is chance
        (counts(500, errors=10), counts(errors=0), "10 of 500 requests failed, 0 of 1000 before"),
        (counts(500, errors=10), counts(errors=22), None),  # as many as before
        (counts(ms=50), counts(ms=5), "mean 50.00 ms against 5.00 ms"),
        (counts(ms=0.8), counts(ms=0.2), None),  # four times as slow, and nobody can tell
        (counts(scores=(900, 100, 0)), counts(), "the scores have moved"),
        (counts(scores=(520, 480, 0)), counts(), None),
    ],
    ids=["same", "one error", "errors", "errors as before", "slow", "below the clock", "scores", "scores within noise"],
)
def test_a_verdict_names_what_is_worse(ours: Counts, theirs: Counts, words: str | None) -> None:
    broken = canary.verdict(ours, theirs, SETTINGS)
    assert bool(broken) == bool(words)
    assert words is None or any(words in line for line in broken)


def test_models_with_other_buckets_are_compared_in_the_old_ones() -> None:
    fine = counts(scores=(250, 250, 500, 0), bounds=np.array([0.25, 0.5, 1.0, np.inf]))
    assert canary.psi(fine, counts()) == pytest.approx(0)
    assert canary.psi(fine, counts(scores=(900, 100, 0))) > 0.25
    assert canary.psi(counts(scores=(1000,), bounds=HALVES[2:]), counts()) == 0


def test_counts_since_a_moment_and_after_a_restart() -> None:
    since = counts(300, errors=3).since(counts(100, errors=1, scores=(100, 100, 0)))
    assert (since.requests, since.errors, since.predictions) == (200, 2, 200)
    assert since.scores.tolist() == [400, 400, 0]
    assert counts(50).since(counts(100)).requests == 50


def test_quantiles_lie_within_their_bucket() -> None:
    assert 1 < counts(ms=5).quantile_ms(0.95) <= 10
    assert counts(ms=500).quantile_ms(0.99) == 100  # beyond the last bound
