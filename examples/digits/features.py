"""Compute features: from the raw table one row per digit (offline), from a request one row (online)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import astuple

from problem.schema import BLOCK, KEY, LABEL, PERIOD, PIXELS, TIME, Request

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    import pandas as pd

FEATURES = (*PIXELS, "ink_above")  # the model's columns, in this order


def row(request: Request) -> tuple:
    """Return a request as the model's columns, in the order of FEATURES."""
    pixels = astuple(request)
    return (*pixels, sum(pixels[:8]))


def table(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return one row per digit: KEY, TIME, BLOCK, PERIOD, SEGMENTS, FEATURES and LABEL (NaN until known)."""
    digits = tables["digits"]
    written = digits["written"].dt.tz_localize(None)
    out = digits[[*KEY, *PIXELS]].assign(**{TIME: written})
    out[BLOCK], out[PERIOD] = written.dt.strftime("%Y-%m-%d"), written.dt.strftime("%Y-%m")
    out["ink_above"] = digits[list(PIXELS[:8])].sum(axis=1)
    out["ink"] = (digits[list(PIXELS)].mean(axis=1) > 5).map({True: "heavy", False: "light"})
    out[LABEL] = digits["digit"].astype(float)
    return out


def known(tables: Mapping[str, pd.DataFrame], when: datetime) -> dict[str, pd.DataFrame]:
    """Return the table as it stood at `when`: which digit it is, is not known when it is scanned."""
    digits = tables["digits"]
    until = digits[digits["written"].dt.tz_localize(None) <= when]
    return {"digits": until.assign(digit=float("nan"))}
