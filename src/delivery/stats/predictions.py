"""Predictions row by row: the table from which any two models are compared."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from delivery.stats import task
from delivery.stats.evaluation import Problem
from problem import BLOCK, CLASSES, FEATURES, KEY, LABEL, PERIOD, SEGMENTS

PREDICTION = "prediction"  # name of the column


def predictions(rows: pd.DataFrame, p: NDArray[np.floating]) -> pd.DataFrame:
    """Return KEY, block, period, segments, label and prediction of each row. `p`: (rows,) or (rows, classes)."""
    columns = list(dict.fromkeys([*KEY, BLOCK, PERIOD, *SEGMENTS, LABEL]))
    return rows[columns].assign(**{PREDICTION: p if p.ndim == 1 else pd.Series(list(p), rows.index, dtype=object)})


def values(column: pd.Series) -> NDArray[np.float64]:
    """Return a column of predictions as numbers: (rows,), or (rows, classes) if each cell has one for each class."""
    if column.empty:
        return np.empty(task.shape(0))
    return np.stack(column.to_list()) if column.dtype == object else column.to_numpy(float)


def features(rows: pd.DataFrame) -> list[list[Any]]:
    """Return the columns of FEATURES as lists of Python values, as the service's runtime takes them."""
    return [rows[name].tolist() for name in FEATURES]


def describe() -> Problem:
    """Return what is predicted, and the columns that identify a row."""
    return Problem((LABEL,), tuple(CLASSES), tuple(KEY))
