"""How the rows are split and judged: periods, blocks, segments, floors, margins, each from the rows themselves."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from delivery.core.errors import Failure
from delivery.fork.new.columns import FEW, Found
from delivery.fork.new.rows import moments, text

# Unit to how its periods are written, so that they sort, and how many a year has.
UNITS = {"month": ("%Y-%m", 12), "week": ("%G-W%V", 52), "day": ("%Y-%m-%d", 365), "hour": ("%Y-%m-%dT%H", 8760)}
BLOCKS = {"day": "%Y-%m-%d", "hour": "%Y-%m-%dT%H"}
ENOUGH = 5  # periods, so that one is for the test, one is the future, and some are left
SHARE = 0.2  # of the rows, for the test
A_DAY = 140  # so many days are made up for a file without times: twenty weeks


@dataclass(frozen=True)
class Proposal:
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
    floors: dict[str, tuple[float, str]]  # and where each comes from
    guess: float  # the primary loss of who knows nothing
    gap: float  # of calibration
    a_period: int  # rows with a label, in the middle
    per_day: int  # rows of a made-up day, 0 where the file has times


def proposal(found: Found, segments: list[str]) -> Proposal:
    """Raises Failure where there is too little to split by time."""
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
    )  # fmt: skip


def made_up(rows: int, per_day: int) -> pd.Series:
    """Times for a file that has none, in its own order."""
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
    """The fewest of the newest periods that hold SHARE of the rows, and never more than half of them."""
    share = sizes[::-1].cumsum() / sizes.sum()
    return int(min(1 + (share < SHARE).sum(), max(1, len(sizes) // 2)))


def _block(when: pd.Series) -> tuple[str, int]:
    """Rows of one block go well or badly together: the coarsest of which the test has ten."""
    for block, form in BLOCKS.items():
        if (count := when.dt.strftime(form).nunique()) >= 10:
            return block, count
    return "row", len(when)


def _calendar(when: pd.Series) -> tuple[str, ...]:
    """Parts of the time that the training rows have seen enough of."""
    seen = {"month": when.dt.month.nunique() == 12, "day_of_week": when.dt.dayofweek.nunique() == 7}
    return tuple(name for name, enough in (seen | {"hour": when.dt.hour.nunique() > 1}).items() if enough)


def _segments(found: Found, test_rows: int) -> list[str]:
    """Up to two categories of few values, each often enough to be judged."""
    fit = []
    for column in found.of("category"):
        counts = text(found.frame[column.raw]).value_counts(normalize=True)
        if len(counts) <= FEW and counts.min() * test_rows >= 20:
            fit.append((len(counts), column.name))
    return [name for _, name in sorted(fit)[:2]]


def _floors(found: Found, train: pd.Series, test: pd.Series) -> tuple[float, dict[str, tuple[float, str]], float]:
    """What who knows nothing but the training labels would reach on the test rows; no model may be worse."""
    if found.task == "regression":
        middle = float(train.astype(float).median())
        loss = float((test.astype(float) - middle).abs().mean())
        told = f"always saying {middle:.4g}, the median of the training rows, gives this"
        return loss, {"absolute_error": (rounded(loss), told)}, rounded(float(train.astype(float).std()) / 4)
    labels = [text(part).map({name: at for at, name in enumerate(found.classes)}) for part in (train, test)]
    shares = np.bincount(labels[0].astype(int), minlength=len(found.classes)) / len(train)
    loss = float(-np.log(np.clip(shares[labels[1].astype(int)], 1e-15, 1)).mean())
    told = "always saying the shares of the training rows gives this"
    floors = {"log_loss": (rounded(loss), told)}
    if found.task == "binary":
        return loss, floors | {"auc": (0.55, "0.5 is a coin")}, 0.1
    error = float((labels[1] != int(shares.argmax())).mean())
    most = found.classes[int(shares.argmax())]
    return loss, floors | {"error_rate": (rounded(error), f"always saying {most} gives this")}, 0.1


def rounded(value: float) -> float:
    return float(f"{value:.3g}")
