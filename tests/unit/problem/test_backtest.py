"""The year replayed: who serves when, what is counted, and that it is the policy of `drift` that decides."""

import made
import numpy as np
import pandas as pd
import pytest

from delivery.core.params import Params
from delivery.drift import backtest
from delivery.drift.replay import Replay
from problem import BLOCK, LABEL, PERIOD, TIME

MONTHS = [f"2013-{month:02d}" for month in range(1, 9)]
UNTIL = "2013-03"  # trained on January and February, tested on March


@pytest.fixture(scope="module")
def year(settings: Params) -> Params:
    return made.changed(
        settings, fetch__until=UNTIL, drift__min_rows=100, drift__min_days=14, drift__min_gain=0.003, drift__open_after=1,
        drift__close_after=1, drift__cooldown=1, drift__runs_per_year=6, drift__minutes_per_month=60.0,
        drift__calibration_gap=0.9,
    )  # fmt: skip


@pytest.fixture(scope="module")
def replay() -> Replay:
    """The world turns in May: models that have not seen May are wrong from then on, others right."""
    rng = np.random.default_rng(0)
    days = pd.date_range("2013-01-01", "2013-08-31").repeat(40)
    rows = pd.DataFrame({BLOCK: days.strftime("%Y-%m-%d"), PERIOD: days.strftime("%Y-%m"), TIME: days})
    turned = (rows[PERIOD] >= "2013-05").to_numpy()
    side = rng.random(len(rows)) < 0.5
    truth = np.where(side != turned, 0.7, 0.3)
    rows[LABEL] = (rng.random(len(rows)) < truth).astype(float)
    before, after = np.where(side, 0.7, 0.3), np.where(side, 0.3, 0.7)
    scores = {count: (after if count >= 5 else before) for count in range(2, 8)}
    scores[2] = np.where(side, 0.701, 0.3)
    return Replay(rows, MONTHS, scores, dict.fromkeys(range(2, 8), 2.0))


def test_frozen_asks_again_every_month(replay: Replay, year: Params) -> None:
    rows = list(backtest.replayed_periods(replay, "frozen", year))
    assert [row.period for row in rows] == MONTHS[3:]
    assert [row.period for row in rows if row.retrain] == ["2013-06", "2013-07", "2013-08"]
    assert {row.champion_until for row in rows} == {"2013-02"}


def test_replaced_asks_once_and_serves_the_new_model_from_the_next_month(replay: Replay, year: Params) -> None:
    rows = list(backtest.replayed_periods(replay, "replaced", year))
    assert [row.period for row in rows if row.retrain] == ["2013-06"]
    by = {row.period: row for row in rows}
    assert by["2013-06"].policy == by["2013-06"].never, "the month that decides was served by the old model"
    assert by["2013-07"].policy == pytest.approx(by["2013-07"].always)
    assert by["2013-07"].policy < by["2013-07"].never - 0.1
    assert by["2013-06"].next == pytest.approx(by["2013-07"].never - by["2013-07"].policy)


def test_the_totals_by_hand(replay: Replay, year: Params) -> None:
    rows = list(backtest.replayed_periods(replay, "replaced", year))
    total = backtest.summary("replaced", rows, replay)
    assert (total.runs, total.runs_always, total.opened) == (1, 5, ("2013-06",))
    expected = sum(row.rows * (row.never - row.policy) for row in rows) / sum(row.rows for row in rows)
    assert total.gain == pytest.approx(expected)
    assert total.share == pytest.approx(total.gain / total.gain_always)
    assert "1 of 5 runs gained" in backtest.markdown(total)


def test_the_budgets_hold_in_the_replay_too(replay: Replay, year: Params) -> None:
    rows = list(backtest.replayed_periods(replay, "frozen", made.changed(year, drift__runs_per_year=1)))
    assert [row.period for row in rows if row.retrain] == ["2013-06"]
    assert rows[-1].verdict == "skip"
