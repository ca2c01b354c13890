"""Set up every plot in one way: colours and lines that are legible on GitHub's light and dark pages, axes, and the PNG."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

Table = Sequence[Mapping[str, Any]]

# Mid-tones: each has a contrast of at least 4 on both pages, and blue against orange survives colour blindness.
BLUE, GREY, ORANGE = COLOURS = ("#2477e8", "#707a86", "#c9570c")
WIDTH = 400  # CSS pixels, for <img width>: the file holds twice as many, for dense screens
STYLE: Any = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so every machine draws the same letters
    "font.size": 8.5,
    **dict.fromkeys(["text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"], GREY),
    **dict.fromkeys(["axes.facecolor", "figure.facecolor"], "none"),
    **dict.fromkeys(["axes.spines.top", "axes.spines.right"], False),
}
LINES: dict[str, dict[str, Any]] = {  # dashes as well as colour, for readers who cannot tell the colours apart
    "candidate": {"color": BLUE, "linewidth": 2.0, "zorder": 3},
    "champion": {"color": GREY, "linewidth": 1.5, "zorder": 2, "linestyle": (0, (5, 1.5))},
    "reference": {"color": GREY, "linewidth": 1.0, "zorder": 1, "linestyle": (0, (2, 2))},
}
ABOVE: Any = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points", "va": "bottom"}
styled = mpl.rc_context(STYLE)


def figure(title: str, height: float = 3.3, panels: Sequence[float] = (1,)) -> tuple[Figure, Any]:
    """Return a figure of `height` inches and its axes: one, or an array with one for each of `panels`, their relative heights."""
    fig = Figure(figsize=(WIDTH / 100, height), dpi=200, layout="constrained")
    fig.suptitle(title, x=0.01, ha="left", fontsize=10, fontweight="bold")
    axes = fig.subplots(len(panels), sharex=True, height_ratios=panels)
    for ax in fig.axes:
        ax.grid(color=GREY, alpha=0.22, linewidth=0.6)
    return fig, axes


def listing(title: str, label: str, names: "pd.Series[str]") -> tuple[Figure, Any]:
    """Return a figure and axes with a row for each name, the first on top; `label` describes the horizontal axis."""
    fig, ax = figure(title, 0.95 + 0.19 * max(len(names), 2))
    fig.supxlabel(label, fontsize="medium")  # centred on the figure: long names leave the axes narrow
    ax.set(ylim=(max(len(names), 1) - 0.5, -0.5), yticks=range(len(names)), yticklabels=names)
    ax.locator_params(axis="x", nbins=4)
    ax.tick_params(axis="y", length=0, grid_alpha=0)
    ax.spines["left"].set_visible(False)
    return fig, ax


def png(fig: Figure) -> bytes:
    """Return the figure as a PNG with a palette."""
    canvas: Any = FigureCanvasAgg(fig)  # matplotlib's types leave out print_to_buffer
    raw, size = canvas.print_to_buffer()
    image = Image.frombytes("RGBA", size, raw).quantize()  # a palette looks the same in a third of the bytes
    image.save(buffer := BytesIO(), format="png", optimize=True)
    return buffer.getvalue()
