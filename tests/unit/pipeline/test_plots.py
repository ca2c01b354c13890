"""Plots are valid, small and reproducible, and their colours say what they show."""

from collections.abc import Callable
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from delivery.drift import plots as drift_plots
from delivery.pipeline import plots
from delivery.render.canvas import BLUE, GREY, ORANGE, WIDTH
from delivery.stats.shift import ShiftRow

RANDOM = np.random.default_rng(0)
Y = RANDOM.random(20_000) < 0.22
P = np.clip(0.22 + 0.15 * Y + 0.12 * RANDOM.normal(size=Y.size), 0.01, 0.99)
CONSTANT = np.full(Y.size, 0.22)
SEGMENTS = [
    {"segment": f"carrier={n}", "rows": 400 * n, "value": 0.02 * n, "low": 0.02 * n - 0.01, "high": 0.02 * n + 0.03}
    for n in range(1, 26)
]
IMPORTANCE = [{"feature": f"feature_{n}", "mean": 0.1 / n, "sd": 0.01} for n in range(1, 16)]


def moved(column: str, psi: float, seasonal: bool) -> ShiftRow:
    """A row of the drift table of which the plot shows these."""
    return ShiftRow(
        column, psi, jensen_shannon=0.0, missing_before=0.0, missing_now=0.0, seasonal=seasonal, alarm=False
    )


DRIFT = [moved(f"column_{n}", 4.0**-n, n < 2) for n in range(-1, 9)]
LOSS = {"train": list(0.4 + 0.2 / np.arange(1, 100)), "test": list(0.41 + 0.2 / np.arange(1, 100))}

CASES: dict[str, Callable[[], bytes]] = {
    "roc": lambda: plots.roc(Y, P),
    "roc against the champion": lambda: plots.roc(Y, P, champion=P**2 + 0.1 * np.sin(np.arange(Y.size))),
    "roc of a constant": lambda: plots.roc(Y, CONSTANT),
    "precision_recall": lambda: plots.precision_recall(Y, P),
    "precision_recall against the champion": lambda: plots.precision_recall(Y, P, champion=CONSTANT),
    "calibration": lambda: plots.calibration(Y, P),
    "calibration of a constant": lambda: plots.calibration(Y, CONSTANT),
    "loss_curve": lambda: plots.loss_curve(LOSS, chance=0.53),
    "loss_curve of one point": lambda: plots.loss_curve({"train": [0.44], "test": [0.44]}),
    "segments": lambda: plots.segments(SEGMENTS, "average precision", overall=0.3),
    "segments, none": lambda: plots.segments([]),
    "differences": lambda: plots.differences(SEGMENTS, better="higher"),
    "differences, one without a value": lambda: plots.differences(
        [*SEGMENTS[:2], {"segment": "tiny", "rows": 3, "value": None, "low": None, "high": None}], better="lower"
    ),
    "differences, none": lambda: plots.differences([], better="lower"),
    "importance": lambda: plots.importance(IMPORTANCE),
    "drift": lambda: drift_plots.shift(DRIFT),
    "drift of nothing at all": lambda: drift_plots.shift([moved("a", 0.0, False)]),
}


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(png)).convert("RGBA")).astype(int)


def amount(png: bytes, colour: str) -> int:
    """Opaque pixels within a shade of the colour: the palette moves each channel a little."""
    near = np.abs(pixels(png) - [*bytes.fromhex(colour[1:]), 255]).max(axis=2) < 12
    return int(near.sum())


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("case", CASES)
def test_is_a_small_transparent_reproducible_png(case: str) -> None:
    png = CASES[case]()
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    assert len(png) < 60_000
    assert png == CASES[case]()
    drawn = pixels(png)
    assert drawn.shape[1] == 2 * WIDTH
    assert (drawn[:, :, 3] == 0).mean() > 0.5, "the page must show through"
    assert not drawn[0, :, 3].any(), "nothing is cut off at the top"
    assert not drawn[:, -1, 3].any(), "nothing is cut off at the right"


def test_png_names_no_software_and_no_date() -> None:
    assert not Image.open(BytesIO(plots.roc(Y, P))).info.keys() - {"transparency"}


def test_champion_is_drawn_beside_the_candidate() -> None:
    assert amount(plots.roc(Y, P, champion=CONSTANT), GREY) > amount(plots.roc(Y, P), GREY)


def test_the_better_side_decides_the_colour_of_a_difference() -> None:
    higher, lower = (plots.differences(SEGMENTS, better=better) for better in ("higher", "lower"))
    assert amount(higher, BLUE) > 5 * amount(higher, ORANGE)
    assert amount(lower, ORANGE) > 5 * amount(lower, BLUE)


def test_an_unknown_better_side_is_refused() -> None:
    with pytest.raises(KeyError, match="smaller"):
        plots.differences(SEGMENTS, better="smaller")


def test_a_seasonal_feature_raises_no_alarm() -> None:
    steady, seasonal = ([moved("month", 3.0, seasonal)] for seasonal in (False, True))
    assert amount(drift_plots.shift(steady), ORANGE) > amount(drift_plots.shift(seasonal), ORANGE)
    assert amount(drift_plots.shift(seasonal), BLUE) > 0
