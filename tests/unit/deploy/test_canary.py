"""What ends a canary, and what does not."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from msgspec.structs import replace

from delivery.core import params
from delivery.core.errors import Failure
from delivery.deploy import canary
from delivery.deploy.targets.counts import Counts
from delivery.deploy.targets.host import Host

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


@pytest.mark.parametrize(
    ("ours", "theirs", "lines"),
    [
        (7.5, 5.0, []),  # one and a half times, which is the limit
        (7.75, 5.0, ["mean 7.75 ms against 5.00 ms (max_slower 1.5)"]),
        (3.0, 1.5, []),  # twice as slow by less than 2 ms
        (4.0, 2.0, []),  # by 2 ms, which is the limit
        (4.25, 2.0, ["mean 4.25 ms against 2.00 ms (max_slower 1.5)"]),
        (9.0, 6.5, []),  # by more than 2 ms and less than half as slow again
    ],
)
def test_slower_by_a_factor_and_by_milliseconds(ours: float, theirs: float, lines: list[str]) -> None:
    assert canary.verdict(counts(ms=ours), counts(ms=theirs), SETTINGS) == lines


def test_slow_requests_that_the_mean_does_not_show() -> None:
    slow = replace(counts(), times=np.array([0, 900, 100, 0]))
    assert canary.verdict(slow, counts(), SETTINGS) == ["p95 55.00 ms against 9.55 ms (max_slower 1.5)"]


def test_a_verdict_names_all_that_is_worse() -> None:
    ours = counts(500, errors=10, ms=50, scores=(900, 100, 0))
    assert canary.verdict(ours, counts(), SETTINGS) == [
        "10 of 500 requests failed, 0 of 1000 before",
        "the scores have moved, PSI 0.88 (score_psi 0.25)",
        "mean 50.00 ms against 5.00 ms (max_slower 1.5)",
        "p95 95.50 ms against 9.55 ms (max_slower 1.5)",
    ]


def test_scores_may_move_as_far_as_the_limit() -> None:
    ours = counts(scores=(900, 100, 0))
    limit = replace(SETTINGS, score_psi=canary.psi(ours, counts()))
    assert canary.verdict(ours, counts(), limit) == []


@pytest.mark.parametrize(
    ("ours", "theirs", "chance"),
    [
        ((10, 1), (1000, 0), True),  # a single error says nothing, however few requests there were
        ((10, 2), (1000, 0), False),
        ((1000, 4), (1000, 0), True),  # 1.9 % of the time at one in a thousand
        ((1000, 5), (1000, 0), False),  # 0.4 % of the time
        ((1000, 5), (1000, 3), True),  # the old version's own rate
        ((10, 10), (1, 1), True),
        ((10, 2), (0, 0), False),
    ],
)
def test_errors_beyond_chance(ours: tuple[int, int], theirs: tuple[int, int], chance: bool) -> None:
    said = canary.errors(counts(*ours), counts(*theirs), 0.001)
    words = f"{ours[1]} of {ours[0]} requests failed, {theirs[1]} of {theirs[0]} before"
    assert said == ("" if chance else words)


def test_psi_by_hand() -> None:
    one, other = np.array([900.5, 100.5, 0.5]) / 1001.5, np.array([500.5, 500.5, 0.5]) / 1001.5
    expected = float(((one - other) * np.log(one / other)).sum())
    assert expected == pytest.approx(0.8758, abs=1e-4)
    assert canary.psi(counts(scores=(900, 100, 0)), counts()) == pytest.approx(expected)
    assert canary.psi(counts(scores=(90, 10, 0)), counts()) != pytest.approx(expected)


def test_psi_in_the_old_versions_buckets_by_hand() -> None:
    """400 scores evenly between 0.25 and 1 of the new model, 600 below: a third of the 400 lie below 0.5."""
    ours = counts(scores=(600, 400, 0), bounds=np.array([0.25, 1.0, np.inf]))
    one = np.array([600 + 400 / 3 + 0.5, 400 * 2 / 3 + 0.5, 0.5]) / 1001.5
    other = np.array([500.5, 500.5, 0.5]) / 1001.5
    assert canary.psi(ours, counts()) == pytest.approx(float(((one - other) * np.log(one / other)).sum()))
    below = counts(scores=(900, 100), bounds=np.array([0.5, np.inf]))
    assert canary.psi(below, counts()) > 0.25, "a single bound is enough"


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (counts(scores=(0, 0, 0)), counts()),
        (counts(), counts(scores=(0, 0, 0))),
        (counts(scores=(900,), bounds=np.array([np.inf])), counts()),
        (counts(scores=(900, 100, 0)), counts(scores=(1000,), bounds=np.array([np.inf]))),
    ],
    ids=["no scores yet", "none before", "no buckets", "no buckets before"],
)
def test_scores_that_cannot_be_compared_have_not_moved(ours: Counts, theirs: Counts) -> None:
    assert canary.psi(ours, theirs) == 0.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that a canary has slept, on a clock that only its sleep moves."""
    slept: list[float] = []
    time = SimpleNamespace(sleep=slept.append, monotonic=lambda: 1000 + sum(slept))
    monkeypatch.setattr(canary, "time", time)
    return slept


def look(*seen: tuple[Counts, Counts]) -> Callable[[], tuple[Counts, Counts]]:
    return iter(seen).__next__


BEFORE = (counts(5000, errors=3, scores=(2500, 2500, 0)), counts(10, errors=2, scores=(5, 5, 0)))


def later(theirs: int, ours: int, errors: int = 0) -> tuple[Counts, Counts]:
    """Counts with so many requests more on either side than BEFORE."""
    return (
        counts(5000 + theirs, errors=3, scores=(2500 + theirs / 2, 2500 + theirs / 2, 0)),
        counts(10 + ours, errors=2 + errors, scores=(5 + ours / 2, 5 + ours / 2, 0)),
    )


def test_a_step_waits_for_enough_requests_on_both_sides(clock: list[float], capsys: pytest.CaptureFixture) -> None:
    shares: list[int] = []
    seen = look(BEFORE, later(400, 98), later(99, 500), later(100, 100))
    line = canary.step(shares.append, seen, 50, SETTINGS)
    figures = "100 requests, 0 failed, mean 5.00 ms, p95 9.55 ms"
    assert line == f"canary at 50 %: {figures}; before {figures}; scores PSI 0.000"
    assert capsys.readouterr().out == f"{line}\n"
    assert (shares, clock) == ([50], [0.5, 0.5, 0.5])


def test_errors_end_a_step_at_once(clock: list[float]) -> None:
    with pytest.raises(Failure) as failure:
        canary.step(lambda _: None, look(BEFORE, later(8, 10, errors=3)), 20, SETTINGS)
    assert str(failure.value) == "canary at 20 %: 3 of 10 requests failed, 0 of 8 before"


def test_a_step_without_enough_requests_ends_at_its_deadline(clock: list[float]) -> None:
    patient = replace(SETTINGS, seconds=1.5)
    seen = look(BEFORE, later(10, 2), later(20, 4), later(30, 6), later(40, 8))
    with pytest.raises(Failure) as failure:
        canary.step(lambda _: None, seen, 20, patient)
    assert str(failure.value) == (
        "canary at 20 %: only 8 and 40 of 100 requests came in 1.5 s; "
        "lower deploy.canary.requests, or deploy without --canary"
    )
    assert clock == [0.5] * 4, "at the deadline itself there is one more look"


def test_what_is_worse_ends_a_step(clock: list[float]) -> None:
    nothing = counts(0, scores=(0, 0, 0))
    slow = counts(ms=50, scores=(900, 100, 0))
    with pytest.raises(Failure) as failure:
        canary.step(lambda _: None, look((nothing, nothing), (counts(), slow)), 80, SETTINGS)
    assert str(failure.value) == (
        "canary at 80 %: the scores have moved, PSI 0.88 (score_psi 0.25); "
        "mean 50.00 ms against 5.00 ms (max_slower 1.5); p95 95.50 ms against 9.55 ms (max_slower 1.5)"
    )


@pytest.mark.parametrize(("first", "shares"), [(10, [10, 50, 80]), (50, [50, 80]), (60, [60, 80]), (90, [90])])
def test_the_shares_grow_from_the_first(first: int, shares: list[int], clock: list[float]) -> None:
    asked: list[int] = []
    seen = look(*[BEFORE, later(100, 100)] * len(shares))
    lines = canary.run(asked.append, seen, first, replace(SETTINGS, steps=[10, 50, 80]))
    assert asked == shares
    assert [line.partition(" %")[0] for line in lines] == [f"canary at {percent}" for percent in shares]


def test_the_watch_after_the_switch_reports_errors_since_then(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = SimpleNamespace(canary=replace(SETTINGS, max_error_rate=0.01))
    there: Any = SimpleNamespace(candidate=SimpleNamespace(version="7"), settings=settings)
    seen = iter([counts(100, errors=50), counts(200, errors=52), counts(300, errors=60)])

    def of(host: Host, slot: object) -> Counts:
        assert (host, slot) == (there, there.candidate)
        return next(seen)

    monkeypatch.setattr(canary.counts, "of", of)
    failing = canary.alarm(cast(Host, there))
    assert failing() == ""
    assert failing() == "version 7 after the switch: 10 of 200 requests failed, 0 of 0 before"


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
