"""Draw the plots of an evaluation for comments and step summaries. Each function returns one PNG."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve

from delivery.render.canvas import ABOVE, BLUE, GREY, LINES, ORANGE, Table, figure, listing, png, styled
from delivery.stats import task
from problem import CLASSES

Curve = Callable[[np.ndarray], Any]

POINTS = 2000  # rows to draw at most
INTERVAL = ["segment", "rows", "value", "low", "high"]


@styled
def roc(y: np.ndarray, p: np.ndarray, champion: np.ndarray | None = None) -> bytes:
    """Plot true positive rate against false positive rate; `champion` holds the champion's predictions."""
    fig, ax = figure(f"ROC curve: AUC {roc_auc_score(y, p):.3f} on {len(y):,} rows")
    ax.plot([0, 1], [0, 1], **LINES["reference"])
    ax.text(0.5, 0.48, "chance 0.500", rotation=45, transform_rotates_text=True, rotation_mode="anchor", va="top")
    ax.set(xlim=(0, 1), ylim=(0, 1.01), xlabel="false positive rate", ylabel="true positive rate")
    _compare(ax, p, champion, 0.13, lambda s: roc_curve(y, s)[:2], lambda s: roc_auc_score(y, s))
    return png(fig)


@styled
def precision_recall(y: np.ndarray, p: np.ndarray, champion: np.ndarray | None = None) -> bytes:
    """Plot precision against recall; `champion` holds the champion's predictions."""
    fig, ax = figure(f"Precision and recall: average precision {average_precision_score(y, p):.3f}")
    base = float(np.mean(y))
    ax.axhline(base, **LINES["reference"])
    ax.text(0.02, base - 0.045 if base > 0.1 else base + 0.045, f"base rate {base:.3f}", va="center")
    ax.set(xlim=(0, 1), ylim=(0, 1.01), xlabel="recall", ylabel="precision")
    _compare(ax, p, champion, 0.93, lambda s: _by_recall(y, s), lambda s: average_precision_score(y, s))
    return png(fig)


@styled
def calibration(y: np.ndarray, p: np.ndarray, bins: int = 10) -> bytes:
    """Plot mean label against mean prediction in quantile bins, above a histogram of the predictions."""
    frame = pd.DataFrame({"p": task.plain(p), "y": task.observed(y, p)})
    groups = frame.groupby(np.ceil(frame["p"].rank(pct=True) * bins))  # by rank, so that ties share a bin
    mean, count = groups.mean(), groups.size()
    gap = np.average((mean["p"] - mean["y"]).abs(), weights=count)
    least, most = min(frame["p"].min(), mean["y"].min()), max(frame["p"].max(), mean["y"].max())
    low, top = (0.0, min(1.0, 1.05 * max(most, 0.01))) if CLASSES else (least, most + 0.05 * (most - least))
    fig, (ax, below) = figure(f"Calibration: bins off by {gap:.3g} on average", panels=(4, 1))
    ax.plot([low, top], [low, top], **LINES["reference"])
    ax.text(low + 0.9 * (top - low), low + 0.87 * (top - low), "ideal", va="top")
    ax.scatter(mean["p"], mean["y"], s=46 * count / count.max(), color=BLUE, linewidth=0, zorder=3)
    below.hist(frame["p"], bins=60, range=(low, top), color=BLUE, linewidth=0)
    ends = (low, top + 0.01 * (top - low))
    ax.set(xlim=ends, ylim=ends, ylabel="observed rate" if CLASSES else "mean label")
    below.set(xlabel="predicted probability" if CLASSES else "prediction", ylabel="rows", yticks=[])
    return png(fig)


@styled
def residuals(y: np.ndarray, p: np.ndarray) -> bytes:
    """Plot prediction minus label against the prediction, for a model that predicts a number."""
    residual = p - y
    fig, ax = figure(f"Residuals: {residual.mean():+.3g} on average, standard deviation {residual.std():.3g}")
    ax.axhline(0, **LINES["reference"])
    shown = np.linspace(0, len(p) - 1, min(len(p), POINTS)).astype(int)
    ax.scatter(p[shown], residual[shown], s=7, color=BLUE, alpha=0.4, linewidth=0)
    ax.set(xlabel="prediction", ylabel="prediction less label")
    return png(fig)


@styled
def confusion(y: np.ndarray, p: np.ndarray) -> bytes:
    """Plot the confusion matrix: the share of each class's rows (y axis) per most probable class (x axis)."""
    counts = np.zeros((len(CLASSES), len(CLASSES)))
    np.add.at(counts, (y.astype(int), p.argmax(axis=1)), 1)
    fig, ax = figure(f"Confusion: {np.trace(counts) / len(y):.1%} are of the most probable class")
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    rows, columns = np.nonzero(shares)
    hits = rows == columns
    for cells, colour in ((hits, BLUE), (~hits, ORANGE)):
        ax.scatter(columns[cells], rows[cells], s=330 * shares[rows, columns][cells], color=colour, linewidth=0)
    ticks = range(len(CLASSES))
    ax.set(xticks=ticks, yticks=ticks, xticklabels=CLASSES, yticklabels=CLASSES, xlabel="most probable", ylabel="is")
    ax.set(xlim=(-0.7, len(CLASSES) - 0.3), ylim=(len(CLASSES) - 0.3, -0.7))
    return png(fig)


@styled
def loss_curve(curves: Mapping[str, Sequence[float]], chance: float | None = None) -> bytes:
    """Plot the loss per iteration, the last curve in the strong colour; `chance` is the loss of a constant model."""
    fig, ax = figure("Loss per iteration")
    ends = []
    for name, values in curves.items():
        line = LINES["candidate" if name == list(curves)[-1] else "champion"]
        ax.plot(range(1, len(values) + 1), values, **line, marker="o", markersize=4, markevery=[len(values) - 1])
        ends.append((values[-1], f"{name} {values[-1]:.3f}", line["color"]))
    if chance is not None:
        ax.axhline(chance, **LINES["reference"])
        ends.append((chance, f"chance {chance:.3f}", GREY))
    ax.set(xlabel="iteration", ylabel="loss", xmargin=0.03, ymargin=0.1)
    ax.locator_params(axis="x", nbins=7, integer=True, min_n_ticks=1, steps=[1, 2, 5, 10])
    height, (low, high) = -1.0, ax.get_ylim()
    for value, text, colour in sorted(ends):
        height = max((value - low) / (high - low), height + 0.07)  # keep the labels of close curves apart
        ax.text(1.02, height, text, color=colour, va="center", transform=ax.transAxes)
    return png(fig)


@styled
def segments(table: Table, metric: str = "primary metric", overall: float | None = None) -> bytes:
    """Plot the metric per segment with its interval, highest on top; rows {segment, rows, value, low, high}."""
    frame = pd.DataFrame(table, columns=INTERVAL).sort_values("value", ascending=False, kind="stable")
    fig, ax = _intervals(f"Per segment: {metric}", metric, frame, [BLUE] * len(frame))
    if overall is not None:
        ax.axvline(overall, **LINES["reference"])
        ax.annotate(f"overall {overall:.3f}", (overall, 1), (0, 3), ha="center", **ABOVE)
    return png(fig)


@styled
def differences(table: Table, better: str, metric: str = "primary metric") -> bytes:
    """Plot candidate minus champion per segment. `better`: "higher" or "lower"; rows {segment, rows, value, low, high}."""
    sides = {"higher": (("worse", ORANGE), ("better", BLUE)), "lower": (("better", BLUE), ("worse", ORANGE))}
    (left, negative), (right, positive) = sides[better]
    frame = pd.DataFrame(table, columns=INTERVAL).sort_values("value", ascending=better == "lower", kind="stable")
    colours = np.select([frame["low"] > 0, frame["high"] < 0], [positive, negative], GREY).tolist()
    fig, ax = _intervals("Candidate − champion per segment", f"difference in {metric}", frame, colours)
    ax.axvline(0, **LINES["reference"])
    reach = max(map(abs, ax.get_xlim()))
    ax.set_xlim(-reach, reach)  # symmetric, so that both sides have room for their label
    ax.annotate(f"← {left}", (0, 1), (-6, 3), ha="right", color=negative, **ABOVE)
    ax.annotate(f"{right} →", (0, 1), (6, 3), ha="left", color=positive, **ABOVE)
    return png(fig)


@styled
def importance(table: Table, metric: str = "primary metric") -> bytes:
    """Plot how much the metric worsens when a feature is shuffled, largest on top; rows {feature, mean, sd}."""
    frame = pd.DataFrame(table, columns=["feature", "mean", "sd"]).sort_values("mean", ascending=False, kind="stable")
    fig, ax = listing("Permutation importance", f"worsening of {metric} when shuffled, ± 1 sd", frame["feature"])
    ax.barh(range(len(frame)), frame["mean"], 0.55, xerr=frame["sd"], color=BLUE, ecolor=BLUE, alpha=0.45)
    ax.axvline(0, color=GREY, linewidth=0.8)
    return png(fig)


def _intervals(title: str, label: str, frame: pd.DataFrame, colours: list[str]) -> tuple[Figure, Any]:
    fig, ax = listing(title, f"{label}, with its interval", frame["segment"])
    ax.hlines(range(len(frame)), frame["low"], frame["high"], colors=colours, linewidth=1.6)
    ax.scatter(frame["value"], range(len(frame)), s=26, color=colours, linewidth=0, zorder=3)
    counts = ["rows", *(f"{count:,}" for count in frame["rows"])]
    edge = (8 + 5.5 * max(map(len, counts)), 0)  # points; right-aligned, because numbers compare best that way
    style: Any = ABOVE | {"xycoords": ax.get_yaxis_transform(), "ha": "right", "va": "center_baseline"}
    for row, text in enumerate(counts, start=-1):
        ax.annotate(text, (1, row), edge, **style)
    return fig, ax


def _compare(ax: Any, p: np.ndarray, champion: np.ndarray | None, top: float, curve: Curve, score: Curve) -> None:
    for role, scores in {"candidate": p, "champion": champion}.items():
        if scores is not None:
            ax.plot(*curve(scores), **LINES[role])
            ax.text(0.98, top, f"{role} {score(scores):.3f}", color=LINES[role]["color"], ha="right", va="center")
            top -= 0.08


def _by_recall(y: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    precision, recall, _ = precision_recall_curve(y, scores, drop_intermediate=True)
    return recall[:-1], precision[:-1]  # the last point, precision 1 at recall 0, belongs to no threshold
