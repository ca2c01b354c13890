"""What is predicted, and all that differs with it: a number, the probability of a class, or one of each class.

`problem.CLASSES` decides: none of them is regression, two are binary (the second one's probability is predicted),
more are multi-class. Labels are floats: the number, or the place in CLASSES. Predictions have the shape (rows,),
multi-class (rows, classes). What is the same for all tasks reads neither this table nor CLASSES.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from problem import CLASSES


class Task(NamedTuple):
    name: str
    labels: str  # what they have to be
    level: str  # what the mean of the labels is called
    gap: str  # what the calibration gap is
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
        "0 or 1, the place in CLASSES, NaN until it is known",
        "base rate",
        "mean prediction less base rate",
        "staged_predict_proba",
        ("calibration", "roc", "precision_recall"),
    ),
    "multiclass": Task(
        "multiclass",
        "the place in CLASSES, from 0, NaN until it is known",
        "shares of the classes",
        "mean probability less share of the class that is furthest off",
        "staged_predict_proba",
        ("calibration", "confusion"),
    ),
}


def kind(classes: Sequence[str]) -> str:
    """The row of TASKS. Raises ValueError for a single class, of which there is nothing to say."""
    if len(classes) == 1:
        raise ValueError("CLASSES names one class: name none (a number is predicted), two or more")
    return ("regression", "binary")[len(classes) // 2] if len(classes) < 3 else "multiclass"


TASK = TASKS[kind(CLASSES)]


def impossible(y: np.ndarray) -> np.ndarray:
    """The labels that stand for nothing: any number is right in regression, a place in CLASSES otherwise."""
    return y[~np.isfinite(y)] if not CLASSES else y[~np.isin(y, np.arange(len(CLASSES)))]


def shape(rows: int) -> tuple[int, ...]:
    """Of the predictions for so many rows."""
    return (rows, len(CLASSES)) if TASK.name == "multiclass" else (rows,)


def residuals(y: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Prediction less label, (rows, 1), or of each class (rows, classes); NaN where the label is."""
    if p.ndim == 1:
        return (p - y)[:, None]
    known = np.isfinite(y)
    return p - np.where(known[:, None], np.eye(p.shape[1])[np.where(known, y, 0).astype(int)], np.nan)


def furthest(gaps: np.ndarray) -> int:
    """Which of the mean residuals, (1,) or (classes,), is the calibration gap."""
    return int(np.argmax(np.abs(gaps)))


def gap(y: np.ndarray, p: np.ndarray) -> float:
    """Calibration in the large: the mean residual, multi-class that of the class which is furthest off."""
    means = residuals(y, p).mean(axis=0)
    return float(means[furthest(means)])


def level(y: np.ndarray) -> list[float]:
    """Mean of the labels, multi-class the share of each class: what a model that learnt nothing would predict."""
    if TASK.name == "multiclass":
        return (np.bincount(y.astype(int), minlength=len(CLASSES)) / len(y)).tolist()
    return [float(y.mean())]


def guess(y: np.ndarray) -> np.ndarray:
    """`level` for every row, in the shape of predictions."""
    return np.broadcast_to(level(y), (len(y), len(level(y)))).reshape(shape(len(y)))


def worded(level: Sequence[float]) -> str:
    """`level` for people."""
    if len(level) == 1:
        return f"{TASK.level} {level[0]:.4g}"
    return f"{TASK.level} " + ", ".join(f"{name}: {share:.3f}" for name, share in zip(CLASSES, level, strict=True))


def plain(p: np.ndarray) -> np.ndarray:
    """One number a row: the prediction, multi-class the probability of the most probable class."""
    return p if p.ndim == 1 else p.max(axis=1)


def observed(y: np.ndarray, p: np.ndarray) -> np.ndarray:
    """What `plain` ought to be on average: the label, multi-class whether the most probable class was the one."""
    return y if p.ndim == 1 else (p.argmax(axis=1) == y).astype(float)


def buckets(p: np.ndarray) -> list[float]:
    """Bounds between which the service counts its predictions: of a probability even ones, of a number its twentieths."""
    steps = np.arange(1, 21) / 20
    return steps.round(2).tolist() if CLASSES else np.unique(np.quantile(p, steps)).tolist()


def named(p: np.ndarray, name: str) -> dict[str, np.ndarray]:
    """Predictions as columns of a table: one, or one for each class."""
    if p.ndim == 1:
        return {name: p}
    return {f"{name} {label}": p[:, at] for at, label in enumerate(CLASSES)}
