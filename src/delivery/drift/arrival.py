"""What has arrived: the source's data until a month, kept beside data/, and their feature rows."""

from pathlib import Path

import pandas as pd

from delivery.compute import processes
from delivery.core import workspace
from delivery.core.errors import Failure
from delivery.core.params import Params
from delivery.data import windows
from delivery.data.fetch import into
from delivery.pipeline import validate
from problem import LABEL, PERIOD, TIME


def place(month: str) -> Path:
    return workspace.CACHE / "drift" / month


def fetched(month: str) -> Path:
    """The folder of the data until the month, which are fetched unless they are there."""
    folder = place(month)
    if not folder.is_dir():
        into(folder, month)
    return folder


def examples(folder: Path, month: str, settings: Params) -> pd.DataFrame:
    """The feature rows of all months until this one, labelled or not."""
    cut = windows.cut(month, settings.engine, folder)
    return pd.concat(processes.each(windows.features, cut, settings.engine), ignore_index=True)


def checked(month: str, settings: Params) -> tuple[Path, pd.DataFrame]:
    """The folder and the rows of data that obey their schema and are not ahead of their time. Raises Failure for others."""
    folder = fetched(month)
    validate.inspect(month, settings.engine, folder)
    rows = examples(folder, month, settings)
    refuse_future(rows[rows[PERIOD] == month])
    return folder, rows


def refuse_future(now: pd.DataFrame) -> None:
    """Raises Failure when something has a label before it happens: a clock is wrong, here or at the source."""
    latest = now.loc[now[LABEL].notna(), TIME].max()
    moment = pd.Timestamp.now() + pd.Timedelta(days=1)  # local times of other zones are up to a day ahead
    if latest > moment:
        raise Failure(f"a label of {latest} has arrived before its time; set the clock here or at the source right")
