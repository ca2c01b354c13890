"""Fetch the source's data until a period into a folder outside data/, and compute their feature rows."""

from pathlib import Path

import pandas as pd

from delivery.compute import processes
from delivery.core import workspace
from delivery.core.errors import Failure
from delivery.core.params import Params
from delivery.data import freshness, windows
from delivery.data.fetch import into
from delivery.pipeline import validate
from problem import LABEL, PERIOD, TIME


def folder_of(period: str) -> Path:
    """Return the folder for the data until the period."""
    return workspace.CACHE / "drift" / period


def fetched(period: str) -> Path:
    """Return the folder of the data until the period; fetch them unless it exists."""
    folder = folder_of(period)
    if not folder.is_dir():
        into(folder, period)
    return folder


def feature_rows(folder: Path, period: str, settings: Params) -> pd.DataFrame:
    """Return the feature rows of all periods until this one, labelled or not."""
    cut = windows.cut(period, settings.engine, folder)
    return pd.concat(processes.each(windows.features, cut, settings.engine), ignore_index=True)


def newest(settings: Params) -> freshness.Arrivals:
    """Return the newest row and label of data/; empty if nothing may be late, or the data there are not those of params.yaml."""
    if not (settings.drift.rows_late_after or settings.drift.labels_late_after):
        return freshness.Arrivals()
    try:
        rows = feature_rows(workspace.DATA, settings.fetch.until, settings)
    except Failure:  # not fetched, or until another period: the next check that sees rows knows
        return freshness.Arrivals()
    return freshness.newest(rows[TIME], rows[LABEL])


def checked(period: str, settings: Params) -> tuple[Path, pd.DataFrame]:
    """Return folder and feature rows. Raise `Failure` for data that break their schema or have labels from the future."""
    folder = fetched(period)
    validate.inspect(period, settings.engine, folder)
    rows = feature_rows(folder, period, settings)
    refuse_future(rows[rows[PERIOD] == period])
    return folder, rows


def refuse_future(now: pd.DataFrame) -> None:
    """Raise `Failure` if a row is labelled before its time: a clock is wrong, here or at the source."""
    latest = now.loc[now[LABEL].notna(), TIME].max()
    limit = pd.Timestamp.now() + pd.Timedelta(days=1)  # local times of other zones are up to a day ahead
    if latest > limit:
        raise Failure(
            f"a label of {latest} has arrived before its time; correct the clock of this machine or the source"
        )
