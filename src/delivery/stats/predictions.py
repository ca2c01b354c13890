"""Predictions row by row: the table that any two models are compared by."""

import numpy as np
import pandas as pd

from delivery.stats import task
from delivery.stats.evaluation import Problem
from problem import BLOCK, CLASSES, FEATURES, KEY, LABEL, PERIOD, SEGMENTS

PREDICTION = "prediction"  # its column


def predictions(rows: pd.DataFrame, p: np.ndarray) -> pd.DataFrame:
    """KEY, block, period, segments, label and prediction per row: enough to compare any two models."""
    columns = list(dict.fromkeys([*KEY, BLOCK, PERIOD, *SEGMENTS, LABEL]))
    return rows[columns].assign(**{PREDICTION: p if p.ndim == 1 else pd.Series(list(p), rows.index, dtype=object)})


def values(column: pd.Series) -> np.ndarray:
    """A column of predictions as numbers: (rows,), or (rows, classes) where each cell holds one for each class."""
    if column.empty:
        return np.empty(task.shape(0))
    return np.stack(column.to_list()) if column.dtype == object else column.to_numpy(float)


def features(rows: pd.DataFrame) -> list[list]:
    """The columns of FEATURES in plain Python values, as the service's runtime takes them."""
    return [rows[name].tolist() for name in FEATURES]


def describe() -> Problem:
    """Return what is predicted from which rows."""
    return Problem((LABEL,), tuple(CLASSES), tuple(KEY))
