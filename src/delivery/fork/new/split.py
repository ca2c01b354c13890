"""Propose how to split and judge the rows: periods, blocks, segments, floors and margins, derived from the rows."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from delivery.core.errors import Failure
from delivery.fork.new.columns import FEW, Found
from delivery.fork.new.rows import moments, text

# Unit to the format of its periods, which sorts by time, and their number per year.
UNITS = {"month": ("%Y-%m", 12), "week": ("%G-W%V", 52), "day": ("%Y-%m-%d", 365), "hour": ("%Y-%m-%dT%H", 8760)}
BLOCKS = {"day": "%Y-%m-%d", "hour": "%Y-%m-%dT%H"}
ENOUGH = 5  # periods: one to test, one as the future, and some to train on
SHARE = 0.2  # share of the rows to test on
A_DAY = 140  # days that are made up for a file without times: twenty weeks


@dataclass(frozen=True)
class Proposal:
    """How to split the rows, and the first values of the parameters that judge a model."""

    unit: str
    periods: list[str]
    until: str
    test_periods: int
    train_rows: int
    test_rows: int
    block: str  # day, hour, or row
    blocks: int  # of the test rows
    calendar: tuple[str, ...]
    segments: list[str]  # names in Python
    floors: dict[str, tuple[float, str]]  # metric to its minimum, and where that comes from
    guess: float  # primary loss of a constant prediction
    gap: float  # largest calibration gap
    a_period: int  # median number of labelled rows in a period
    per_day: int  # rows of a made-up day; 0 if the file has times
    label_days: int  # whole days by which the newest label is older than the newest row
    late_after: int  # days after which rows are late; 0 if they are old already, or have no times


def propose(found: Found, segments: list[str]) -> Proposal:
    """Return a proposal for the rows. Raise `Failure` if there are too few periods to split by time."""
    target, time = found.one("target"), found.one("time")
    assert target is not None
    per_day = 0 if time else max(1, len(found.frame) // A_DAY)
    when = moments(found.frame[time.raw], found.time_format) if time else made_up(len(found.frame), per_day)
    known = pd.DataFrame({"when": when, "y": found.frame[target.raw]}).dropna().sort_values("when", kind="stable")
    unit = _unit(known["when"])
    period = known["when"].dt.strftime(UNITS[unit][0])
    periods = sorted(when.dropna().dt.strftime(UNITS[unit][0]).unique())
    labelled = sorted(period.unique())
    until = labelled[-2] if len(labelled) >= ENOUGH else labelled[-1]
    sizes = period[period <= until].value_counts().sort_index()
    test_periods = _test_periods(sizes)
    tested = period.isin(sizes.index[-test_periods:])
    trained = period < sizes.index[-test_periods]
    block, blocks = _block(known["when"][tested])
    guess, floors, gap = _floors(found, known["y"][trained], known["y"][tested])
    return Proposal(
        unit, periods, until, test_periods, int(trained.sum()), int(tested.sum()), block, blocks,
        _calendar(known["when"][trained]) if time else (), segments or _segments(found, int(tested.sum())),
        floors, guess, gap, int(sizes.median()), per_day,
        int((when.max() - known["when"].max()) / pd.Timedelta(days=1)),
        _late_after(unit, when) if time else 0,
    )  # fmt: skip


def _late_after(unit: str, when: pd.Series) -> int:
    """Return two periods and a day, in days; 0 if the newest row is older than that."""
    days = 2 * -(-365 // UNITS[unit][1]) + 1
    age = (pd.Timestamp.now() - when.max()) / pd.Timedelta(days=1)
    return days if age <= days else 0


def made_up(rows: int, per_day: int) -> pd.Series:
    """Return times for a file that has none: days in the order of its rows."""
    return pd.Series(pd.Timestamp("2000-01-03") + pd.to_timedelta(np.arange(rows) // per_day, unit="D"))


def _unit(when: pd.Series) -> str:
    counts = {unit: when.dt.strftime(form).nunique() for unit, (form, _) in UNITS.items()}
    unit = next((unit for unit, count in counts.items() if count >= ENOUGH), "")
    if not unit:
        raise Failure(
            f"the rows are of {max(counts.values())} hour(s): too few to split by time, at least {ENOUGH} are needed; "
            "name another column with --time"
        )
    return unit


def _test_periods(sizes: pd.Series) -> int:
    """Return how many of the newest periods hold SHARE of the rows; never more than half of the periods."""
    share = sizes[::-1].cumsum() / sizes.sum()
    return int(min(1 + (share < SHARE).sum(), max(1, len(sizes) // 2)))


def _block(when: pd.Series) -> tuple[str, int]:
    """Return the coarsest unit of which the test has ten blocks, and their number; rows of a block are correlated."""
    for block, form in BLOCKS.items():
        if (count := when.dt.strftime(form).nunique()) >= 10:
            return block, count
    return "row", len(when)


def _calendar(when: pd.Series) -> tuple[str, ...]:
    """Return the parts of the time of which training has seen enough to use them as features."""
    seen = {"month": when.dt.month.nunique() == 12, "day_of_week": when.dt.day_of_week.nunique() == 7}
    return tuple(name for name, enough in (seen | {"hour": len(when.dt.hour.unique()) > 1}).items() if enough)


def _segments(found: Found, test_rows: int) -> list[str]:
    """Return up to two categories with few values, each frequent enough to be judged."""
    fit = []
    for column in found.of("category"):
        counts = text(found.frame[column.raw]).value_counts(normalize=True)
        if len(counts) <= FEW and counts.min() * test_rows >= 20:
            fit.append((len(counts), column.name))
    return [name for _, name in sorted(fit)[:2]]


def _floors(found: Found, train: pd.Series, test: pd.Series) -> tuple[float, dict[str, tuple[float, str]], float]:
    """Return the primary loss of a constant prediction on the test rows, floors from it, and the calibration gap."""
    if found.task == "regression":
        middle = float(train.astype(float).median())
        loss = float((test.astype(float) - middle).abs().mean())
        reason = f"predicting always {middle:.4g}, the median of the training rows, gives this"
        return loss, {"absolute_error": (rounded(loss), reason)}, rounded(float(train.astype(float).std()) / 4)
    labels = [text(part).map({name: at for at, name in enumerate(found.classes)}) for part in (train, test)]
    shares = np.bincount(labels[0].astype(int), minlength=len(found.classes)) / len(train)
    loss = float(-np.log(np.clip(shares[labels[1].astype(int)], 1e-15, 1)).mean())
    reason = "predicting always the shares of the training rows gives this"
    floors = {"log_loss": (rounded(loss), reason)}
    if found.task == "binary":
        return loss, floors | {"auc": (0.55, "0.5 is a coin toss")}, 0.1
    error = float((labels[1] != int(shares.argmax())).mean())
    most = found.classes[int(shares.argmax())]
    return loss, floors | {"error_rate": (rounded(error), f"predicting always {most} gives this")}, 0.1


def rounded(value: float) -> float:
    """Return a number with three significant digits."""
    return float(f"{value:.3g}")
