"""What ends a canary, and what does not."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from delivery.core import params
from delivery.core.errors import Failure
from delivery.deploy import canary
from delivery.deploy.own_metrics import Answer
from delivery.deploy.targets.counts import Counts

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


def look(*seen: tuple[Counts, Counts], shift: Callable[[int], None] = lambda _: None, choices: tuple = ()) -> Any:
    """A target that has answered so many requests at each look, and what a person has chosen by then."""
    chosen = iter(choices)
    return SimpleNamespace(
        environment="staging", shift=shift, counts=iter(seen).__next__, choice=lambda: next(chosen, "")
    )


BEFORE = (counts(5000, errors=3, scores=(2500, 2500, 0)), counts(10, errors=2, scores=(5, 5, 0)))


def later(theirs: int, ours: int, errors: int = 0) -> tuple[Counts, Counts]:
    """Counts with so many requests more on either side than BEFORE."""
    return (
        counts(5000 + theirs, errors=3, scores=(2500 + theirs / 2, 2500 + theirs / 2, 0)),
        counts(10 + ours, errors=2 + errors, scores=(5 + ours / 2, 5 + ours / 2, 0)),
    )


def test_a_step_waits_for_enough_requests_on_both_sides(clock: list[float], capsys: pytest.CaptureFixture) -> None:
    shares: list[int] = []
    seen = look(BEFORE, later(400, 98), later(99, 500), later(100, 100), shift=shares.append)
    line, reached = canary.step(seen, 50, SETTINGS)
    assert reached == 50
    figures = "100 requests, 0 failed, mean 5.00 ms, p95 9.55 ms"
    assert line == f"canary at 50 %: {figures}; before {figures}; scores PSI 0.000"
    assert capsys.readouterr().out == f"{line}\n"
    assert (shares, clock) == ([50], [0.5, 0.5, 0.5])


def test_errors_end_a_step_at_once(clock: list[float]) -> None:
    with pytest.raises(Failure) as failure:
        canary.step(look(BEFORE, later(8, 10, errors=3)), 20, SETTINGS)
    assert str(failure.value) == "canary at 20 %: 3 of 10 requests failed, 0 of 8 before"


FEW = tuple(later(10 * turn, 2 * turn) for turn in range(1, 9))


def test_a_step_without_enough_requests_is_held_and_then_ended(
    clock: list[float], capsys: pytest.CaptureFixture
) -> None:
    patient = replace(SETTINGS, seconds=1.5, hold_seconds=1)
    with pytest.raises(Failure) as failure:
        canary.step(look(BEFORE, *FEW), 20, patient)
    assert str(failure.value) == (
        "canary at 20 %: only 12 and 60 of 100 requests came in 2.5 s, so nothing is decided; "
        "deploy it again with a larger share or at a busier hour, or lower deploy.canary.requests"
    )
    assert clock == [0.5] * 6, "at the deadline itself there is one more look"
    assert capsys.readouterr().out == (
        "canary at 20 %: only 8 and 40 of 100 requests came in 1.5 s, too little to decide. It is held at 20 % for 1 s and "
        "goes on once that has changed. Wait; or widen it with `delivery steer staging --share 50%`; or end it with "
        "`delivery steer staging --end`, or by stopping this command\n"
    ), "once"


def test_a_canary_that_is_held_goes_on_once_enough_requests_have_come(clock: list[float]) -> None:
    patient = replace(SETTINGS, seconds=1, hold_seconds=60)
    line, _ = canary.step(look(BEFORE, *FEW, later(100, 100)), 20, patient)
    assert line.startswith("canary at 20 %: 100 requests, 0 failed")


def test_a_person_widens_a_canary(clock: list[float]) -> None:
    shares: list[int] = []
    seen = look(
        BEFORE, later(10, 2), BEFORE, later(100, 100), BEFORE, later(100, 100), shift=shares.append, choices=("60",)
    )
    lines = canary.run(seen, 20, replace(SETTINGS, steps=[50, 80]))
    assert shares == [20, 60, 80], "a step that is smaller than the share that was chosen is left out"
    assert [line.partition(" %")[0] for line in lines] == ["canary at 60", "canary at 80"]


def test_a_person_ends_a_canary(clock: list[float]) -> None:
    with pytest.raises(Failure, match=r"^canary at 20 %: a person ended it; only 2 and 10 of 100 requests came$"):
        canary.step(look(BEFORE, later(10, 2), choices=("end",)), 20, SETTINGS)


def test_a_metric_of_ones_own_ends_a_step(clock: list[float]) -> None:
    """Once enough requests have come, not before."""
    looks = look(BEFORE, later(10, 2), later(100, 100))
    worse = Answer(["metric bookings is 0.2, below its limit 0.5"])
    with pytest.raises(Failure, match=r"^canary at 20 %: metric bookings is 0.2, below its limit 0.5$"):
        canary.step(looks, 20, SETTINGS, lambda: worse)
    assert len(clock) == 2


UNKNOWN = Answer([], ["metric bookings is not known: http://metrics does not answer (refused)"])


def test_a_metric_that_is_not_known_holds_a_step_and_never_passes_it(
    clock: list[float], capsys: pytest.CaptureFixture
) -> None:
    patient = replace(SETTINGS, seconds=1, hold_seconds=1)
    with pytest.raises(Failure) as failure:
        canary.step(look(BEFORE, *[later(100, 100)] * 9), 20, patient, lambda: UNKNOWN)
    assert str(failure.value) == (
        "canary at 20 %: metric bookings is not known: http://metrics does not answer (refused) in 2 s, so nothing is "
        "decided; see to deploy.prometheus and the queries of deploy.metrics, then deploy it again"
    )
    assert "metric bookings is not known" in capsys.readouterr().out
    assert len(clock) == 5


def test_a_step_goes_on_once_the_metric_is_known(clock: list[float]) -> None:
    answers = iter([UNKNOWN, UNKNOWN, Answer()])
    line, _ = canary.step(look(BEFORE, *[later(100, 100)] * 9), 20, SETTINGS, lambda: next(answers))
    assert line.startswith("canary at 20 %: 100 requests, 0 failed")
    assert len(clock) == 3


def test_a_person_ends_a_canary_that_a_metric_holds(clock: list[float]) -> None:
    looks = look(BEFORE, later(100, 100), choices=("end",))
    with pytest.raises(
        Failure, match=r"^canary at 20 %: a person ended it; metric bookings is not known: http://metrics"
    ):
        canary.step(looks, 20, SETTINGS, lambda: UNKNOWN)


def test_each_step_asks_the_metrics(clock: list[float]) -> None:
    asked: list[int] = []

    def ask() -> Answer:
        asked.append(len(clock))
        return Answer(["metric bookings is 9, above its limit 5"] if len(asked) > 1 else [])

    with pytest.raises(Failure, match="^canary at 50 %: metric bookings is 9"):
        canary.run(look(*[BEFORE, later(100, 100)] * 2), 20, SETTINGS, ask)


def test_what_is_worse_ends_a_step(clock: list[float]) -> None:
    nothing = counts(0, scores=(0, 0, 0))
    slow = counts(ms=50, scores=(900, 100, 0))
    with pytest.raises(Failure) as failure:
        canary.step(look((nothing, nothing), (counts(), slow)), 80, SETTINGS)
    assert str(failure.value) == (
        "canary at 80 %: the scores have moved, PSI 0.88 (score_psi 0.25); "
        "mean 50.00 ms against 5.00 ms (max_slower 1.5); p95 95.50 ms against 9.55 ms (max_slower 1.5)"
    )


@pytest.mark.parametrize(("first", "shares"), [(10, [10, 50, 80]), (50, [50, 80]), (60, [60, 80]), (90, [90])])
def test_the_shares_grow_from_the_first(first: int, shares: list[int], clock: list[float]) -> None:
    asked: list[int] = []
    seen = look(*[BEFORE, later(100, 100)] * len(shares), shift=asked.append)
    lines = canary.run(seen, first, replace(SETTINGS, steps=[10, 50, 80]))
    assert asked == shares
    assert [line.partition(" %")[0] for line in lines] == [f"canary at {percent}" for percent in shares]


def refusing(requests: int, **refused: int) -> Counts:
    return replace(counts(requests), refused={name.removeprefix("s"): count for name, count in refused.items()})


@pytest.mark.parametrize(
    ("ours", "theirs", "words"),
    [
        (refusing(400, s422=200), refusing(400), "200 of 400 requests were answered 422, 0 of 400 before"),
        (refusing(400, s422=40), refusing(4000, s422=404), ""),
        (refusing(400, s422=40, s415=20), refusing(400, s422=60), "20 of 400 requests were answered 415, 0 of 400 before"),
        (refusing(400, s422=60), refusing(400, s415=60), "60 of 400 requests were answered 422, 0 of 400 before"),
        (refusing(400, s422=1), refusing(400), ""),
        (refusing(100_000, s422=1050), refusing(1_000_000, s422=10_000), ""),
        (refusing(400, s422=400), refusing(0), ""),
    ],
    ids=["half", "as before", "another kind", "one kind for another", "one", "beyond chance, and nobody minds", "nothing before"],
)  # fmt: skip
def test_refusals_are_compared_by_kind(ours: Counts, theirs: Counts, words: str) -> None:
    assert canary.refusals(ours, theirs, 0.001, canary.CHANCE) == words
    if theirs.requests:
        assert canary.verdict(ours, theirs, SETTINGS) == ([words] if words else [])


def test_fishers_test_by_hand() -> None:
    """3 of 10 against 0 of 10: C(10, 3) C(10, 0) / C(20, 3) = 0.105; 5 against 0: 0.0163; 6 against 0: 0.0054."""
    assert canary.refusals(refusing(10, s422=5), refusing(10), 0.001, 0.0162) == ""
    assert canary.refusals(refusing(10, s422=5), refusing(10), 0.001, 0.0164)
    assert canary.refusals(refusing(10, s422=6), refusing(10), 0.001, canary.CHANCE)


def test_refusals_end_a_step_at_once(clock: list[float]) -> None:
    old, new = later(60, 60)
    with pytest.raises(Failure, match=r"^canary at 20 %: 30 of 60 requests were answered 422, 0 of 60 before$"):
        canary.step(look(BEFORE, (old, replace(new, refused={"422": 30}))), 20, SETTINGS)


def test_the_judge_after_the_switch_tolerates_no_more_errors_than_chance_gives() -> None:
    judge, before = canary.judge("7", 0.01), counts(0)
    assert judge(counts(100, errors=2), before) == ""
    assert (
        judge(counts(200, errors=10), before) == "version 7 after the switch: 10 of 200 requests failed, 0 of 0 before"
    )


def test_the_judge_after_the_switch_compares_refusals_with_those_before() -> None:
    judge, words = canary.judge("7", 0.01), "100 of 200 requests were answered 422, 0 of 100 before"
    assert judge(refusing(200, s422=100), refusing(100)) == f"version 7 after the switch: {words}"
    assert judge(refusing(200, s422=100), refusing(100, s422=50)) == ""


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


def test_refusals_since_a_moment() -> None:
    assert refusing(300, s422=7, s415=1).since(refusing(100, s422=3)).refused == {"422": 4, "415": 1}


def test_quantiles_lie_within_their_bucket() -> None:
    assert 1 < counts(ms=5).quantile_ms(0.95) <= 10
    assert counts(ms=500).quantile_ms(0.99) == 100  # beyond the last bound
