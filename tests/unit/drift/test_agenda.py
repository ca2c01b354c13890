"""Each period ends, in order, whatever arrives late: the check itself is played, the log is the real one."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import made
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from delivery.core.params import Drift, Fetch, Gate, Params
from delivery.data.freshness import Arrivals
from delivery.drift import agenda, champion, check, decisions, findings, policy
from delivery.drift.verdicts import LogEntry

WEEKS = [f"2013-W{week:02d}" for week in range(1, 30)]


class World:
    """A source and its clock; `ready`: the day from which a period can be judged, `finds`: what a check finds then."""

    def __init__(self) -> None:
        self.day, self.arrived, self.log = 0, 3, list[LogEntry]()
        self.ready: dict[str, int] = {}
        self.finds: dict[str, str] = {}
        self.rows: dict[str, int] = {}
        self.looked: list[str] = []
        self.serves = "a"
        self.withdraws = False
        self.settings = Params(fetch=Fetch(until=WEEKS[2]), gate=Gate(floors={}), drift=Drift(max_judged=1))

    def periods(self) -> list[str]:
        return WEEKS[: self.arrived]

    def now(self, zone: object = None) -> datetime:
        return datetime(2013, 2, 1, tzinfo=UTC) + timedelta(days=self.day)

    def data(self, period: str, *_: Any) -> str:
        return str([self.rows.get(name, 0) for name in WEEKS[3 : WEEKS.index(period) + 1]])

    def run(
        self, chosen: Params, period: str, log: Path | None = None, history: Sequence[LogEntry] = (), *, who: Any
    ) -> Any:
        self.looked.append(period)
        ready = self.ready.get(period, 0) <= self.day
        verdict, why = (self.finds.get(period, "no"), "found") if ready else ("wait", "there are no labels")
        if ready and (text := policy.hindrance(history, period, self.periods(), chosen.fetch.until, chosen.drift)):
            verdict, why = "skip", text
        retrain, withdraw = verdict == "retrain", verdict == "no" and self.withdraws
        return SimpleNamespace(
            period=period, verdict=verdict, why=why, retrain=retrain, withdraw=withdraw, rows=10, seconds=1.0,
            champion=who.digest, serving=findings.Serving(version=who.digest),
            champion_trained_on=(WEEKS[0], WEEKS[2]), windows=(f"window of {period}",), data=self.data(period, chosen),
            arrived=Arrivals(rows=period, labels=period if ready else ""),
        )  # fmt: skip

    def check(self) -> agenda.Taken:
        taken = agenda.take(self.settings)
        self.log += taken.entries
        return taken

    def words(self) -> list[tuple[str, str]]:
        return [(entry.period[5:], entry.verdict) for entry in self.log]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return played(World(), monkeypatch.setattr)


def played(world: World, put: Callable[[Any, str, Any], None]) -> World:
    clock = type("Clock", (datetime,), {"now": world.now})
    put(agenda, "periods", world.periods)
    put(agenda, "expected", lambda until: WEEKS[: WEEKS.index(until) + 1])
    put(agenda, "into", lambda *_: "")
    put(agenda, "datetime", clock)
    put(decisions, "datetime", clock)
    put(decisions, "read", lambda: list(world.log))
    put(champion, "find", lambda _: SimpleNamespace(digest=world.serves, until=WEEKS[2]))
    put(check, "run", world.run)
    put(check, "data", world.data)
    return world


def test_the_newest_that_any_check_has_seen_is_told(world: World) -> None:
    world.arrived, world.ready = 6, {WEEKS[4]: 99, WEEKS[5]: 99}
    taken = world.check()
    assert (taken.arrived, taken.behind) == (Arrivals(rows=WEEKS[3], labels=WEEKS[3]), True)  # one is judged a run
    taken = world.check()
    assert (taken.arrived, taken.behind) == (Arrivals(rows=WEEKS[5], labels=""), False)


def test_nothing_new_is_nothing(world: World) -> None:
    assert world.check() == agenda.Taken([], None)


def test_a_cool_down_holds_up_no_later_period(world: World) -> None:
    """With a cool-down of two the first period was looked at for ever."""
    world.settings = made.changed(world.settings, drift__cooldown=2)
    world.arrived, world.finds[WEEKS[4]] = 5, "retrain"
    world.check()
    world.check()
    assert world.words() == [("W04", "skip"), ("W05", "retrain"), ("W05", "retrain")]


def test_a_skipped_period_is_followed_by_the_next_at_once(world: World) -> None:
    """It costs no challenger, and with a check for each period the backlog would stay."""
    world.settings = made.changed(world.settings, drift__cooldown=3)
    world.arrived, world.ready[WEEKS[5]] = 6, 999
    taken = world.check()
    assert world.words() == [("W04", "skip"), ("W05", "skip"), ("W06", "wait")]
    assert taken.result is not None
    assert taken.result.period == WEEKS[5]


def test_a_year_s_budget_holds_up_no_later_period(world: World) -> None:
    world.settings = made.changed(world.settings, drift__runs_per_year=1, drift__periods_per_year=3)
    world.finds = dict.fromkeys(WEEKS, "retrain")
    for world.arrived in range(4, 9):
        world.check()
    assert world.words() == [("W04", "retrain"), ("W05", "skip"), ("W06", "skip"), ("W07", "retrain"), ("W08", "skip")]


def test_a_period_that_never_gets_labels_is_superseded(world: World) -> None:
    world.ready = {WEEKS[3]: 999, WEEKS[4]: 7}
    world.arrived = 5
    world.check()
    assert world.words() == [("W04", "wait"), ("W05", "wait")]
    world.day = 7
    taken = world.check()
    assert world.words()[2:] == [("W04", "superseded"), ("W05", "no")]
    assert taken.entries[0].why == f"{WEEKS[4]} was decided first, with the rows of {WEEKS[3]}; there are no labels"
    assert taken.result is not None
    assert taken.result.period == WEEKS[4]
    assert world.check().result is None, "every period has ended"


def test_where_the_month_s_compute_is_spent_the_period_waits_for_the_next(world: World) -> None:
    world.settings = made.changed(world.settings, drift__minutes_per_month=1.0)
    world.arrived = 5
    world.log.append(LogEntry(period=WEEKS[0], verdict="no", date=world.now().isoformat(), seconds=60.0))
    world.ready = {WEEKS[3]: 28, WEEKS[4]: 28}
    world.check()
    assert world.looked == [WEEKS[3]], "the next one would wait for the same"
    world.day = 28
    world.check()
    assert world.words()[-1] == ("W04", "no"), "not superseded by one that waited, too"


def test_a_backlog_of_several_periods_is_judged_in_one_run_oldest_first(world: World) -> None:
    """With weekly data and a run a week, a backlog stayed as long as it was."""
    world.settings = made.changed(world.settings, drift__max_judged=3)
    world.arrived = 8
    taken = world.check()
    assert world.words() == [("W04", "no"), ("W05", "no"), ("W06", "no")]
    assert taken.result is not None
    assert taken.result.period == WEEKS[5]
    assert taken.windows == tuple(f"window of {week}" for week in WEEKS[3:6]), "none is trained again"
    world.check()
    assert world.words()[3:] == [("W07", "no"), ("W08", "no")]
    assert world.check().result is None


def test_a_retraining_ends_the_run(world: World) -> None:
    world.settings = made.changed(world.settings, drift__max_judged=9)
    world.arrived, world.finds = 8, {WEEKS[4]: "retrain"}
    taken = world.check()
    assert world.words() == [("W04", "no"), ("W05", "retrain")]
    assert taken.result is not None
    assert taken.result.retrain
    assert taken.withdrawal == ""


def test_a_later_period_that_cannot_be_judged_does_not_hide_the_decision(world: World) -> None:
    world.settings = made.changed(world.settings, drift__max_judged=9)
    world.arrived, world.ready = 5, {WEEKS[4]: 99}
    taken = world.check()
    assert world.words() == [("W04", "no"), ("W05", "wait")]
    assert taken.result is not None
    assert taken.result.period == WEEKS[3]
    assert taken.windows == (f"window of {WEEKS[3]}",)


def test_a_withdrawal_is_not_forgotten_because_a_later_period_is_judged_in_the_same_run(world: World) -> None:
    world.settings = made.changed(world.settings, drift__max_judged=9)
    world.withdraws, world.arrived, world.finds = True, 5, {WEEKS[4]: "hold"}
    assert world.check().withdrawal == f"{WEEKS[3]}: found"
    world.arrived, world.finds = 7, {WEEKS[6]: "retrain"}
    assert world.check().withdrawal == "", "a proposal that is brought up to date is not withdrawn"
    world.arrived = 8
    assert world.check().withdrawal == "", "the last one does so itself"


def test_the_compute_of_the_month_ends_the_run(world: World) -> None:
    world.settings = made.changed(world.settings, drift__max_judged=9, drift__minutes_per_month=2 / 60)
    world.arrived = 8
    world.check()
    assert world.words() == [("W04", "no"), ("W05", "no")]


def test_late_labels_and_corrected_rows_reopen_the_newest_decision_for_a_while(world: World) -> None:
    world.arrived = 5
    for _ in range(3):
        world.check()
    assert world.words() == [("W04", "no"), ("W05", "no")]
    world.rows[WEEKS[3]] = 5  # of the one before: it counts in the pool of the newest
    world.day, world.finds[WEEKS[4]] = 40, "hold"
    world.check()
    world.check()
    assert world.words()[2:] == [("W05", "hold")]
    world.rows[WEEKS[4]] = 1
    world.day = 61  # since the first decision, not since the last
    world.check()
    assert world.words()[3:] == []


def test_a_decision_of_an_earlier_version_is_not_reopened(world: World) -> None:
    world.log.append(LogEntry(period=WEEKS[3], verdict="no", date=world.now().isoformat()))
    world.arrived = 4
    assert world.check().result is None


def test_a_retraining_that_is_not_merged_is_judged_again_until_something_newer_is_decided(world: World) -> None:
    """Else a pull request that could not be opened would be forgotten; a part of a newer period changes nothing."""
    world.arrived, world.finds[WEEKS[3]] = 4, "retrain"
    world.check()
    world.arrived, world.ready[WEEKS[4]] = 5, 5
    world.check()
    assert world.words() == [("W04", "retrain"), ("W05", "wait"), ("W04", "retrain")]
    world.day = 5
    world.check()
    world.check()
    assert world.words()[3:] == [("W05", "no")]
    world.settings = made.changed(world.settings, fetch__until=WEEKS[4])
    assert world.check().result is None, "it is merged"


def test_a_challenger_that_cannot_be_trained_holds_up_no_later_period(world: World) -> None:
    world.arrived, world.finds[WEEKS[3]] = 4, "failed"
    taken = world.check()
    assert taken.result is not None
    assert taken.result.verdict == "failed"
    world.arrived = 5
    world.check()
    assert world.words()[1:] == [("W04", "superseded"), ("W05", "no")]


weeks = st.lists(
    st.tuples(
        st.integers(0, 2),  # periods that arrive
        st.sampled_from([0, 0, 0, 1, 3, 99]),  # weeks until they have labels
        st.sampled_from(["no", "hold", "retrain", "failed"]),
        st.booleans(),  # rows are corrected
    ),
    min_size=1,
    max_size=25,
)


@examples(max_examples=200, deadline=None)
@given(weeks, st.integers(0, 3), st.integers(0, 3), st.integers(1, 4))
def test_each_period_ends_in_order(
    story: list[tuple[int, int, str, bool]], cooldown: int, runs: int, most: int
) -> None:
    """Whatever arrives and is found: once a later period can be judged, every one before it has one final entry."""
    with pytest.MonkeyPatch.context() as patch:
        world = played(World(), patch.setattr)
        world.settings = made.changed(
            world.settings,
            drift__cooldown=cooldown,
            drift__runs_per_year=runs,
            drift__reopen_days=20,
            drift__max_judged=most,
        )
        for arrivals, late, finds, corrected in story:
            for name in WEEKS[world.arrived : world.arrived + arrivals]:
                world.ready[name], world.finds[name] = world.day + 7 * late, finds
            world.arrived = min(world.arrived + arrivals, len(WEEKS))
            if corrected:
                world.rows[world.periods()[-1]] = world.day
            for _ in range(3):
                world.check()
            world.day += 7
        for _ in WEEKS:
            world.check()
        ended(world)


def ended(world: World) -> None:
    final = [entry for entry in world.log if entry.verdict in agenda.FINAL]
    firsts = list(dict.fromkeys(entry.period for entry in final))
    assert firsts == sorted(firsts), "in order"
    outcomes: dict[str, set[bool]] = {entry.period: set() for entry in final}
    for entry in final:
        outcomes[entry.period].add(entry.verdict == "superseded")
    assert all(len(each) == 1 for each in outcomes.values()), "superseded for good, or decided"
    able = [name for name in world.periods()[3:] if world.ready[name] <= world.day and world.finds[name] != "failed"]
    if able:
        assert set(firsts) >= {name for name in world.periods()[3:] if name <= able[-1]}, "none is left behind"
    again = [entry for entry in world.log if entry.verdict in agenda.DECIDED]
    for entry, later in pairwise(again):
        assert later.period >= entry.period, "an older decision is not made again"


def test_after_a_rollback_the_newest_period_is_judged_once_for_the_version_that_serves_now(world: World) -> None:
    world.arrived = 6
    while world.check().entries:
        pass
    before = [entry.period for entry in world.log]
    world.serves = "b"
    again = world.check()
    assert [(entry.period, entry.champion) for entry in again.entries] == [(WEEKS[5], "b")], "earlier ones stand"
    assert world.check().entries == []
    world.serves = "a"
    assert world.check().entries == [], "it was judged for this one before"
    assert [entry.period for entry in world.log] == [*before, WEEKS[5]]


def test_a_proposal_about_the_version_that_serves_is_made_again_though_another_was_judged_later(world: World) -> None:
    world.arrived = 4
    world.finds[WEEKS[3]] = "retrain"
    assert [entry.retrain for entry in world.check().entries] == [True]
    world.serves, world.finds[WEEKS[3]] = "b", "no"
    assert [entry.verdict for entry in world.check().entries] == ["no"]
    world.serves, world.finds[WEEKS[3]] = "a", "retrain"
    assert [(entry.verdict, entry.version) for entry in world.check().entries] == [("retrain", "a")]


def test_periods_that_the_serving_version_has_learnt_from_are_not_on_the_list(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Main may have been taken back to fewer data than production was trained with."""
    world.arrived = 7
    monkeypatch.setattr(champion, "find", lambda _: SimpleNamespace(digest="a", until=WEEKS[4]))
    assert [entry.period for entry in world.check().entries] == [WEEKS[5]]
