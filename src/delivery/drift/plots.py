"""Plots of the drift loop: how far each column moved, what challengers gained month by month, and the replayed year."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from delivery.render.canvas import ABOVE, BLUE, GREY, LINES, ORANGE, Table, figure, listing, png, styled
from problem import PRIMARY

UNIT = PRIMARY.replace("_", " ")
SLANTED: Any = {"rotation": 30, "ha": "right"}  # names of months are wider than their places


@styled
def shift(table: Table, alarm: float = 0.25) -> bytes:
    """Population stability index per column, seasonal ones hollow and never alarmed; rows {column, psi, seasonal}."""
    frame = pd.DataFrame(table, columns=["column", "psi", "seasonal"]).sort_values(
        "psi", ascending=False, kind="stable"
    )
    fig, ax = listing("Drift per column", "population stability index, log scale; hollow: seasonal", frame["column"])
    for row, (_, psi, seasonal) in enumerate(frame.itertuples(index=False)):
        colour = BLUE if seasonal or psi <= alarm else ORANGE
        ax.plot(max(psi, 0.001), row, "o", color=colour, markerfacecolor="none" if seasonal else colour, clip_on=False)
    ax.axvline(alarm, **LINES["reference"] | {"color": ORANGE})
    ax.annotate(f"alarm {alarm:g}", (alarm, 1), (0, 3), ha="center", color=ORANGE, **ABOVE)
    ax.set(xscale="log", xlim=(8e-4, max([1.0, *(1.2 * frame["psi"])])))  # seasonal ones are 10 to 100 times the rest
    ax.xaxis.set_major_formatter(lambda value, _: f"{'≤ ' if value <= 0.001 else ''}{value:g}")
    return png(fig)


@styled
def gains(rows: Sequence[Mapping[str, Any]], least: float = 0.0) -> bytes:
    """Gain of each month's challenger over the champion with its interval; rows {months, gain, low, high}."""
    fig, ax = figure("What a challenger would have gained", height=2.4)
    _intervals(ax, [row["months"][-1] for row in rows], list(rows), [row["low"] > 0 for row in rows])
    if least:
        ax.axhline(least, **LINES["reference"])
    ax.set(ylabel=f"gain in {UNIT}")
    return png(fig)


@styled
def backtest(result: Mapping[str, Mapping[str, Any]]) -> bytes:
    """Gains by month against each mode's champion, filled where a pull request opens; below, what serving gained."""
    modes = list(result)
    fig, axes = figure("The year replayed", height=1.9 * len(modes) + 1.5, panels=[1] * len(modes) + [0.9])
    months = [row["month"] for row in result[modes[0]]["months"]]
    for mode, ax in zip(modes, axes[:-1], strict=True):
        rows = result[mode]["months"]
        shown = [row["gain"] or {"gain": np.nan, "low": np.nan, "high": np.nan} for row in rows]
        _intervals(ax, months, shown, [row["retrain"] for row in rows])
        ax.set(ylabel=f"gain in {UNIT}")
        ax.annotate(f"champion {mode}; filled: pull request", (0, 1), (0, 2), **ABOVE | {"xycoords": "axes fraction"})
    ours = result[modes[-1]]["months"]
    weight = np.array([row["rows"] for row in ours], float)
    for at, (name, line) in enumerate((("policy", LINES["candidate"]), ("always", LINES["champion"]))):
        total = np.cumsum(weight * [row["never"] - row[name] for row in ours]) / weight.sum()
        axes[-1].plot(range(len(months)), total, **line)
        place = (0.02, 0.85 - 0.16 * at)
        axes[-1].text(*place, f"{name} {total[-1]:+.4f}", color=line["color"], transform=axes[-1].transAxes)
    axes[-1].axhline(0, **LINES["reference"])
    axes[-1].set(ylabel="gained so far")
    axes[-1].set_xticks(range(len(months)), months, **SLANTED)
    return png(fig)


def _intervals(ax: Any, months: Sequence[str], rows: Sequence[Mapping[str, Any]], filled: Sequence[bool]) -> None:
    for at, (row, full) in enumerate(zip(rows, filled, strict=True)):
        colour = BLUE if full else ORANGE if row["high"] < 0 else GREY
        ax.vlines(at, row["low"], row["high"], color=colour, linewidth=1.6)
        ax.plot(at, row["gain"], "o", color=colour, markerfacecolor=colour if full else "none")
    ax.axhline(0, **LINES["reference"])
    ax.set_xticks(range(len(months)), months, **SLANTED)
