"""The colours of all pictures are legible on both of GitHub's pages."""

import numpy as np
import pytest

from delivery.render import canvas

PAGES = {"light": "#ffffff", "dark": "#0d1117"}


def luminance(colour: str) -> float:
    channels = np.array([*bytes.fromhex(colour[1:])]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("colour", canvas.COLOURS)
def test_colours_are_legible_on_both_pages(colour: str, page: str) -> None:
    dark, light = sorted([luminance(colour), luminance(PAGES[page])])
    assert (light + 0.05) / (dark + 0.05) >= 4
