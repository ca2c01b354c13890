"""Skew between two samples of a column: population stability index and missing rates."""

import numpy as np
import pandas as pd

BINS = 10
SMALLEST = 1e-4  # share given to an empty bin, so that the logarithm exists


def psi(reference: pd.Series, current: pd.Series) -> float:
    """Population stability index over deciles of the reference (or its categories), missing as a bin.

    Method: sum of (q - p) * ln(q / p); below 0.1 is called stable, above 0.25 shifted.
    """
    p, q = _shares(reference, current)
    return float(np.sum((q - p) * np.log(q / p)))


def _shares(reference: pd.Series, current: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    if pd.api.types.is_numeric_dtype(reference) and not pd.api.types.is_bool_dtype(reference):
        cuts = np.unique(np.nanquantile(reference, np.linspace(0, 1, BINS + 1)[1:-1]))
        counts = [_binned(column.to_numpy(float), cuts) for column in (reference, current)]
    else:
        names = reference.value_counts(dropna=False).index
        counts = [_named(column, names) for column in (reference, current)]
    p, q = (np.maximum(count / count.sum(), SMALLEST) for count in counts)
    return p, q


def _named(column: pd.Series, names: pd.Index) -> np.ndarray:
    counts = column.value_counts(dropna=False).reindex(names, fill_value=0).to_numpy()
    return np.append(counts, len(column) - counts.sum())  # a category that the reference does not have


def _binned(values: np.ndarray, cuts: np.ndarray) -> np.ndarray:
    missing = np.isnan(values)
    counts = np.bincount(np.searchsorted(cuts, values[~missing], side="right"), minlength=len(cuts) + 1)
    return np.append(counts, missing.sum())


def table(
    reference: pd.DataFrame, current: pd.DataFrame, columns: list[str], seasonal: tuple[str, ...], alarm: float
) -> list[dict]:
    """One row per column: psi, missing rates before and now, whether it is seasonal, whether it alarms."""
    rows = []
    for name in columns:
        value = psi(reference[name], current[name])
        rows.append(
            {
                "column": name,
                "psi": value,
                "missing_before": float(reference[name].isna().mean()),
                "missing_now": float(current[name].isna().mean()),
                "seasonal": name in seasonal,
                "alarm": value > alarm and name not in seasonal,
            }
        )
    return sorted(rows, key=lambda row: -row["psi"])
