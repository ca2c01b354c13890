"""Plot how far each column moved, what challengers gained period by period, and the replayed year."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from delivery.drift.result import Backtest
from delivery.drift.verdicts import PooledGain
from delivery.render.canvas import ABOVE, BLUE, GREY, LINES, ORANGE, figure, listing, png, styled
from delivery.stats.shift import ShiftRow
from problem import PRIMARY

UNIT = PRIMARY.replace("_", " ")
SLANTED: Any = {"rotation": 30, "ha": "right"}  # names of periods are wider than their share of the axis


@styled
def shift(rows: Sequence[ShiftRow], alarm: float = 0.25) -> bytes:
    """Draw the population stability index per column, seasonal ones hollow and never alarmed."""
    frame = pd.DataFrame([(row.column, row.psi, row.seasonal) for row in rows], columns=["column", "psi", "seasonal"])
    frame = frame.sort_values("psi", ascending=False, kind="stable")
    fig, ax = listing("Drift per column", "population stability index, log scale; hollow: seasonal", frame["column"])
    for at, (_, psi, seasonal) in enumerate(frame.itertuples(index=False)):
        colour = BLUE if seasonal or psi <= alarm else ORANGE
        ax.plot(max(psi, 0.001), at, "o", color=colour, markerfacecolor="none" if seasonal else colour, clip_on=False)
    ax.axvline(alarm, **LINES["reference"] | {"color": ORANGE})
    ax.annotate(f"alarm {alarm:g}", (alarm, 1), (0, 3), ha="center", color=ORANGE, **ABOVE)
    ax.set(xscale="log", xlim=(8e-4, max([1.0, *(1.2 * frame["psi"])])))  # seasonal ones are 10 to 100 times the rest
    ax.xaxis.set_major_formatter(lambda value, _: f"{'≤ ' if value <= 0.001 else ''}{value:g}")
    return png(fig)


@styled
def gains(rows: Sequence[PooledGain], least: float = 0.0) -> bytes:
    """Draw the gain of each period's challenger over the champion with its interval, filled if above zero."""
    fig, ax = figure("What a challenger would have gained", height=2.4)
    _intervals(ax, [row.periods[-1] for row in rows], rows, [row.low > 0 for row in rows])
    if least:
        ax.axhline(least, **LINES["reference"])
    ax.set(ylabel=f"gain in {UNIT}")
    return png(fig)


@styled
def backtest(result: Mapping[str, Backtest]) -> bytes:
    """Draw gains by period against each mode's champion, filled where a pull request opens; below, what serving gained."""
    modes = list(result)
    fig, axes = figure("The year replayed", height=1.9 * len(modes) + 1.5, panels=[1] * len(modes) + [0.9])
    periods = [row.period for row in result[modes[0]].periods]
    for mode, ax in zip(modes, axes[:-1], strict=True):
        rows = result[mode].periods
        _intervals(ax, periods, [row.gain for row in rows], [row.retrain for row in rows])
        ax.set(ylabel=f"gain in {UNIT}")
        ax.annotate(f"champion {mode}; filled: pull request", (0, 1), (0, 2), **ABOVE | {"xycoords": "axes fraction"})
    last = result[modes[-1]].periods
    weight = np.array([row.rows for row in last], float)
    gained = {
        "policy": [row.never - row.policy for row in last],
        "always": [row.never - row.always for row in last],
    }
    for at, ((name, gain), line) in enumerate(
        zip(gained.items(), (LINES["candidate"], LINES["champion"]), strict=True)
    ):
        total = np.cumsum(weight * gain) / weight.sum()
        axes[-1].plot(range(len(periods)), total, **line)
        axes[-1].text(
            0.02, 0.85 - 0.16 * at, f"{name} {total[-1]:+.4f}", color=line["color"], transform=axes[-1].transAxes
        )
    axes[-1].axhline(0, **LINES["reference"])
    axes[-1].set(ylabel="gained so far")
    axes[-1].set_xticks(range(len(periods)), periods, **SLANTED)
    return png(fig)


def _intervals(ax: Any, periods: Sequence[str], gains: Sequence[PooledGain | None], filled: Sequence[bool]) -> None:
    """Draw each gain with its interval; a period without one keeps its place on the axis."""
    for at, (gain, full) in enumerate(zip(gains, filled, strict=True)):
        value, low, high = (gain.gain, gain.low, gain.high) if gain else (np.nan, np.nan, np.nan)
        colour = BLUE if full else ORANGE if high < 0 else GREY
        ax.vlines(at, low, high, color=colour, linewidth=1.6)
        ax.plot(at, value, "o", color=colour, markerfacecolor=colour if full else "none")
    ax.axhline(0, **LINES["reference"])
    ax.set_xticks(range(len(periods)), periods, **SLANTED)
