"""Compute features: from the raw table one row per patient (offline), from a request one row (online)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import astuple

from problem.schema import BLOCK, KEY, LABEL, PERIOD, TIME, Request

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    import pandas as pd

FEATURES = Request.__struct_fields__  # the model's columns, in this order


def row(request: Request) -> tuple:
    """Return a request as the model's columns, in the order of FEATURES."""
    return astuple(request)


def table(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return one row per patient: KEY, TIME, BLOCK, PERIOD, FEATURES and LABEL (NaN until known)."""
    patients = tables["patients"]
    visited = patients["visited"].dt.tz_localize(None)
    out = patients[[*KEY, *FEATURES]].assign(**{TIME: visited})
    out[BLOCK], out[PERIOD] = visited.dt.strftime("%Y-%m-%d"), visited.dt.strftime("%G-W%V")
    out[LABEL] = patients["progression"].astype(float)
    return out


def known(tables: Mapping[str, pd.DataFrame], when: datetime) -> dict[str, pd.DataFrame]:
    """Return the table as it stood at `when`: nobody's progression is known on the day of the visit."""
    patients = tables["patients"]
    until = patients[patients["visited"].dt.tz_localize(None) <= when]
    return {"patients": until.assign(progression=float("nan"))}
