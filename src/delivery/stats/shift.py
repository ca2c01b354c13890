"""Measure how far columns have moved: population stability index, Jensen-Shannon distance, missing rates.

The bins come from the reference alone, so that the rows to count may be a table in memory or files of any length
read in pieces.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from msgspec import UNSET, Struct, UnsetType
from numpy.typing import NDArray

BINS = 10  # of a column of numbers
SMALLEST = 1e-4  # share given to an empty bin, so that the logarithm exists
CHANCE = 0.01  # of an alarm in any column of a table, if the rows before and now come from the same distribution
FEW = 1  # rows expected now; bins with fewer are pooled (Cochran 1954), because the approximation is poor there
CUT_ROWS = 20_000  # rows of the reference, evenly spaced, from which deciles are computed


@dataclass(frozen=True)
class Bins:
    """The bins of a column: numbers lie between `cuts`, other values are `names`.

    Two more bins are for values that are none of the names, and for missing ones; a number has only the latter.
    """

    cuts: NDArray[np.floating] | None
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
    """The content of reports/validate.json: rows of each table, and how far its newest period has moved."""

    until: str
    rows: dict[str, int]
    skew: dict[str, tuple[ShiftRow, ...]]
    further: dict[str, list[str]] | UnsetType = UNSET
    """Columns of each table that the schema does not name, which are ignored; unset if there are none."""


def named(columns: Mapping[str, Iterable[str]]) -> list[str]:
    """Return columns of tables as `table.column`."""
    return [f"{table}.{column}" for table, own in columns.items() for column in own]


Counts = Mapping[str, NDArray[np.number]]  # of each column, shape (bins,); the last bin is for missing values


def bins(reference: pd.DataFrame, columns: Iterable[str]) -> dict[str, Bins]:
    """Return the bins of each column: deciles of numbers, each value of anything else."""
    step = max(1, len(reference) // CUT_ROWS)
    return {name: _bins(reference[name], step) for name in columns}


def _bins(column: pd.Series, step: int) -> Bins:
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
        sample = column.to_numpy(float)[::step]
        sample = np.sort(sample[~np.isnan(sample)])
        if not len(sample):
            return Bins(np.empty(0), None)
        return Bins(np.unique(sample[(len(sample) * np.arange(1, BINS)) // BINS]), None)
    return Bins(None, pd.Index(column.dropna().unique()))


def codes(column: pd.Series, edges: Bins) -> NDArray[np.intp]:
    """Return the bin of each row, shape (rows,)."""
    if edges.cuts is not None:
        values = column.to_numpy(float)
        positions = np.searchsorted(edges.cuts, values, side="right")
        return np.where(np.isnan(values), len(edges.cuts) + 1, positions)
    assert edges.names is not None
    positions = edges.names.get_indexer(pd.Index(column))
    return np.where(positions >= 0, positions, len(edges.names) + column.isna().to_numpy())


def count(frame: pd.DataFrame, edges: Mapping[str, Bins]) -> Counts:
    """Return the number of rows in each bin of each column."""
    counts = {}
    for name, own in edges.items():
        if own.cuts is not None:
            counts[name] = _count_numbers(frame[name].to_numpy(float), own.cuts)
        else:
            sizes = frame[name].value_counts(dropna=False)
            counts[name] = _count_names(sizes.index, sizes.to_numpy(), own)
    return counts


def added(first: Counts, second: Counts) -> Counts:
    """Return the sum of the counts of two pieces."""
    return {name: counts + second[name] for name, counts in first.items()}


def _count_numbers(values: NDArray[np.float64], cuts: NDArray[np.floating]) -> NDArray[np.number]:
    """Compare with each cut, which takes half the time of a search and is false for missing values."""
    valid = len(values) - int(np.count_nonzero(np.isnan(values)))
    above = [valid, *(int(np.count_nonzero(values >= cut)) for cut in cuts.tolist()), 0]
    return np.append(-np.diff(above), len(values) - valid)


def _count_names(values: Iterable[Any], sizes: NDArray[np.number], edges: Bins) -> NDArray[np.number]:
    assert edges.names is not None
    index = pd.Index(values)
    return np.bincount(codes(pd.Series(index, dtype=index.dtype), edges), sizes, len(edges.names) + 2)


def table(before: Counts, now: Counts, seasonal: Sequence[str], alarm: float) -> list[ShiftRow]:
    """Return one row per column, the one that moved most first.

    Method: the population stability index is the sum of (q - p) * ln(q / p) over bins with shares p before and q now;
    the Jensen-Shannon distance is scipy's, to base 2. A column raises the alarm if its index is above `alarm` and chance does
    not explain it: of few rows every index is large. A seasonal column never raises it.
    """
    from scipy.spatial.distance import jensenshannon

    rows, level = [], CHANCE / max(1, len(before))
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
                alarm=psi > alarm and name not in seasonal and by_chance(counts, now[name]) < level,
            )
        )
    return sorted(rows, key=lambda row: -row.psi)


def by_chance(before: NDArray[np.number], now: NDArray[np.number]) -> float:
    """Return how probable it is that counts of one distribution differ by as much as these, shape (bins,) each.

    Method: Pearson's chi-square test of homogeneity. The bins with fewer than FEW expected rows now are one bin.
    """
    from scipy.special import chdtrc

    few = (before + now) * now.sum() < FEW * (before.sum() + now.sum())
    counts = np.array([np.append(each[~few], each[few].sum()) for each in (before, now)], float)
    counts = counts[:, counts.sum(axis=0) > 0]
    expected = np.outer(counts.sum(axis=1), counts.sum(axis=0)) / counts.sum()
    return (
        float(chdtrc(counts.shape[1] - 1, ((counts - expected) ** 2 / expected).sum())) if counts.shape[1] > 1 else 1.0
    )
