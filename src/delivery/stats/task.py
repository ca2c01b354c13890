"""What differs between regression, binary and multi-class problems.

`problem.CLASSES` decides: without classes the task is regression, with two it is binary (the probability of the second
is predicted), with more it is multi-class (a probability for each). Labels are floats: the number, or the index in
CLASSES. Predictions have the shape (rows,), multi-class (rows, classes). Code that is the same for all tasks reads
neither this table nor CLASSES.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from problem import CLASSES


class Task(NamedTuple):
    """The terms and functions of one task."""

    name: str
    labels: str  # which values are allowed
    level: str  # name of the mean of the labels
    gap: str  # definition of the calibration gap
    staged: str  # scikit-learn's method that predicts after each iteration
    pictures: tuple[str, ...]  # functions of plots.py that take labels and predictions


TASKS = {
    "regression": Task(
        "regression",
        "a finite number, NaN until it is known",
        "mean label",
        "mean prediction less mean label",
        "staged_predict",
        ("calibration", "residuals"),
    ),
    "binary": Task(
        "binary",
        "0 or 1, the index in CLASSES, NaN until it is known",
        "base rate",
        "mean prediction less base rate",
        "staged_predict_proba",
        ("calibration", "roc", "precision_recall"),
    ),
    "multiclass": Task(
        "multiclass",
        "the index in CLASSES, from 0, NaN until it is known",
        "shares of the classes",
        "mean probability less share of the class that is furthest off",
        "staged_predict_proba",
        ("calibration", "confusion"),
    ),
}


def kind(classes: Sequence[str]) -> str:
    """Return the key of TASKS for these classes. Raise ValueError for a single one, which needs no prediction."""
    if len(classes) == 1:
        raise ValueError("CLASSES names one class: name none (a number is predicted), two or more")
    return ("regression", "binary")[len(classes) // 2] if len(classes) < 3 else "multiclass"


TASK = TASKS[kind(CLASSES)]


def impossible(y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the labels that are invalid: not finite in regression, no index in CLASSES otherwise."""
    return y[~np.isfinite(y)] if not CLASSES else y[~np.isin(y, np.arange(len(CLASSES)))]


def shape(rows: int) -> tuple[int, ...]:
    """Return the shape of the predictions for that many rows."""
    return (rows, len(CLASSES)) if TASK.name == "multiclass" else (rows,)


def residuals(y: NDArray[np.float64], p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return prediction minus label, shape (rows, 1) or (rows, classes); NaN where the label is NaN."""
    if p.ndim == 1:
        return (p - y)[:, None]
    known = np.isfinite(y)
    indicators: NDArray[np.float64] = np.eye(p.shape[1])[np.where(known, y, 0).astype(int)]
    return p - np.where(known[:, None], indicators, np.nan)


def furthest(gaps: NDArray[np.float64]) -> int:
    """Return the index of the mean residual, shape (1,) or (classes,), that is the calibration gap: the largest."""
    return int(np.argmax(np.abs(gaps)))


def gap(y: NDArray[np.float64], p: NDArray[np.float64]) -> float:
    """Return the calibration-in-the-large: the mean residual, multi-class that of the class where it is largest."""
    means = residuals(y, p).mean(axis=0)
    return float(means[furthest(means)])


def level(y: NDArray[np.float64]) -> list[float]:
    """Return the mean label, multi-class the share of each class: what a model without features would predict."""
    if TASK.name == "multiclass":
        shares: list[float] = (np.bincount(y.astype(int), minlength=len(CLASSES)) / len(y)).tolist()
        return shares
    return [float(y.mean())]


def guess(y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return `level` for every row, in the shape of predictions."""
    return np.broadcast_to(level(y), (len(y), len(level(y)))).reshape(shape(len(y)))


def worded(level: Sequence[float]) -> str:
    """Return `level` in words."""
    if len(level) == 1:
        return f"{TASK.level} {level[0]:.4g}"
    return f"{TASK.level} " + ", ".join(f"{name}: {share:.3f}" for name, share in zip(CLASSES, level, strict=True))


def plain(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return one number per row: the prediction, multi-class the probability of the most probable class."""
    return p if p.ndim == 1 else p.max(axis=1)


def observed(y: NDArray[np.float64], p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what `plain` predicts: the label, multi-class whether the most probable class is the right one."""
    return y if p.ndim == 1 else (p.argmax(axis=1) == y).astype(float)


def buckets(p: NDArray[np.float64]) -> list[float]:
    """Return the upper bounds of the service's histogram of predictions: twentieths, of a number's quantiles."""
    steps = np.arange(1, 21) / 20
    bounds: list[float] = steps.round(2).tolist() if CLASSES else np.unique(np.quantile(p, steps)).tolist()
    return bounds


def named(p: NDArray[np.float64], name: str) -> dict[str, NDArray[np.float64]]:
    """Return predictions as columns of a table: one called `name`, or one for each class."""
    if p.ndim == 1:
        return {name: p}
    return {f"{name} {label}": p[:, index] for index, label in enumerate(CLASSES)}
