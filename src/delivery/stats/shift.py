"""How far columns have moved: population stability index, Jensen-Shannon distance, missing rates.

Columns are counted into bins that are cut once on the reference, so that what is counted may be a table in
memory or files of any length read piece by piece.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from msgspec import Struct

BINS = 10  # of a column of numbers
SMALLEST = 1e-4  # share given to an empty bin, so that the logarithm exists
CUT_ROWS = 20_000  # of the reference, evenly spread: deciles do not need more


@dataclass(frozen=True)
class Bins:
    """Numbers are cut at `cuts`, anything else by `names`; other values and missing ones are bins of their own."""

    cuts: np.ndarray | None
    names: pd.Index | None


class ShiftRow(Struct, frozen=True):
    """How far one column has moved; `jensen_shannon` is between 0 and 1, missing rates are shares of the rows."""

    column: str
    psi: float
    jensen_shannon: float
    missing_before: float
    missing_now: float
    seasonal: bool
    alarm: bool


class Validation(Struct, frozen=True):
    """What `validate` leaves in reports/validate.json: rows of each table, and how far its newest period has moved."""

    until: str
    rows: dict[str, int]
    skew: dict[str, tuple[ShiftRow, ...]]


Counts = Mapping[str, np.ndarray]  # by column, shape (bins,), the last bin holds what is missing


def bins(reference: pd.DataFrame, columns: Iterable[str]) -> dict[str, Bins]:
    step = max(1, len(reference) // CUT_ROWS)
    return {name: _bins(reference[name], step) for name in columns}


def _bins(column: pd.Series, step: int) -> Bins:
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
        few = column.to_numpy(float)[::step]
        few = np.sort(few[~np.isnan(few)])
        if not len(few):
            return Bins(np.empty(0), None)
        return Bins(np.unique(few[(len(few) * np.arange(1, BINS)) // BINS]), None)
    return Bins(None, pd.Index(column.dropna().unique()))


def codes(column: pd.Series, where: Bins) -> np.ndarray:
    """The bin of each row, shape (rows,)."""
    if where.cuts is not None:
        values = column.to_numpy(float)
        found = np.searchsorted(where.cuts, values, side="right")
        return np.where(np.isnan(values), len(where.cuts) + 1, found)
    assert where.names is not None
    found = where.names.get_indexer(pd.Index(column))
    return np.where(found >= 0, found, len(where.names) + column.isna().to_numpy())


def count(frame: pd.DataFrame, where: Mapping[str, Bins]) -> Counts:
    out = {}
    for name, own in where.items():
        if own.cuts is not None:
            out[name] = _numbers(frame[name].to_numpy(float), own.cuts)
        else:
            found = frame[name].value_counts(dropna=False)
            out[name] = _names(found.index, found.to_numpy(), own)
    return out


def added(first: Counts, second: Counts) -> Counts:
    return {name: counts + second[name] for name, counts in first.items()}


def _numbers(values: np.ndarray, cuts: np.ndarray) -> np.ndarray:
    """Comparisons instead of a search: half the time, and what is missing is in none of them."""
    valid = len(values) - int(np.count_nonzero(np.isnan(values)))
    above = [valid, *(int(np.count_nonzero(values >= cut)) for cut in cuts.tolist()), 0]
    return np.append(-np.diff(above), len(values) - valid)


def _names(values: Iterable[Any], sizes: np.ndarray, where: Bins) -> np.ndarray:
    assert where.names is not None
    index = pd.Index(values)
    return np.bincount(codes(pd.Series(index, dtype=index.dtype), where), sizes, len(where.names) + 2)


def table(before: Counts, now: Counts, seasonal: Sequence[str], alarm: float) -> list[ShiftRow]:
    """Return one row per column, the one that moved most first.

    Method: psi is the sum of (q - p) * ln(q / p); the distance is scipy's, to base 2.
    """
    from scipy.spatial.distance import jensenshannon

    rows = []
    for name, counts in before.items():
        p, q = (each / each.sum() for each in (counts, now[name]))
        safe_p, safe_q = np.maximum(p, SMALLEST), np.maximum(q, SMALLEST)
        psi = float(np.sum((safe_q - safe_p) * np.log(safe_q / safe_p)))
        rows.append(
            ShiftRow(
                column=name,
                psi=psi,
                jensen_shannon=float(jensenshannon(p, q, base=2)),
                missing_before=float(p[-1]),
                missing_now=float(q[-1]),
                seasonal=name in seasonal,
                alarm=psi > alarm and name not in seasonal,
            )
        )
    return sorted(rows, key=lambda row: -row.psi)
