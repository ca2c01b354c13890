"""Stage `prepare`: turn raw tables into training and test rows, split by time, without data from the future."""

import operator
import uuid
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from delivery.compute import processes
from delivery.core import workspace
from delivery.core.errors import Failure
from delivery.core.files import replacing
from delivery.core.params import Params
from delivery.data import tables, windows
from delivery.data.windows import Window
from delivery.pipeline import leakage
from delivery.stats import task
from problem import LABEL, PERIOD, TIME, table

GROUP = 100_000  # rows in a row group, the least that a reader of a part of the file must hold
SEAMS = 2  # days to compute again with more days around them, to check that a window holds all that its features need


class Part(NamedTuple):
    """A file of labelled rows."""

    path: Path
    oldest: str  # period
    newest: str  # period
    rows: int
    level: list[float]  # mean label, or the share of each class


def run(params: Params) -> None:
    """Write the training and test rows, all at once or window by window as `engine` says."""
    write_rows = write_whole if params.engine == "memory" else write_windows
    with replacing(workspace.PREPARED) as folder:
        folder.mkdir()
        written = write_rows(params, folder)
    for name, parts in written.items():
        rows = [part.rows for part in parts]
        level = np.average([part.level for part in parts], axis=0, weights=rows).tolist()
        print(f"prepare: {sum(rows):,} {name} rows, {parts[0].oldest} to {parts[-1].newest}, {task.worded(level)}")


def write_whole(params: Params, folder: Path) -> dict[str, list[Part]]:
    """Compute all rows in memory; write one file for training and one for test."""
    raw = tables.read(params.fetch.until)
    examples = table(raw)
    windows.refuse_misfit(examples)
    windows.refuse_twice(examples)
    examples = windows.in_order(examples)
    leakage.refuse_leaks(raw, examples)
    train, test = split(examples, params.prepare.test_periods)
    return {name: [write_part(rows, folder / f"{name}.parquet")] for name, rows in (("train", train), ("test", test))}


def write_windows(params: Params, folder: Path) -> dict[str, list[Part]]:
    """Compute the same rows window by window; write one folder of files for training and one for test."""
    cut = windows.cut(params.fetch.until, params.engine)
    days = windows.by_day(cut)
    work: list[Callable[[], list[Part] | None]] = [
        *(partial(refuse_unfit, day) for day in leakage.spread(days, leakage.MOMENTS)),
        *(partial(windows.refuse_seam, day) for day in leakage.spread(days, SEAMS)),
        *(partial(write_window, window, folder) for window in cut),
    ]
    parts = [part for written in processes.each(operator.call, work, params.engine) for part in written or ()]
    first = first_tested((part.oldest for part in parts), params.prepare.test_periods)
    out: dict[str, list[Part]] = {"train": [], "test": []}
    for part in parts:
        out["train" if part.oldest < first else "test"].append(part)
    for name, some in out.items():
        (folder / f"{name}.parquet").mkdir()
        for part in some:
            part.path.rename(folder / f"{name}.parquet" / part.path.name.partition(".")[2])
    for leftover in folder.glob("*.*.*.parquet"):
        leftover.unlink()
    return out


def refuse_unfit(day: Window) -> None:
    """Raise `Failure` if the features of a day lack a column, have the wrong type, or depend on later data."""
    raw = windows.raw(day)
    examples = table(raw)
    windows.refuse_misfit(examples)
    examples = windows.kept(examples, day)
    hours = np.sort(examples[TIME].dt.floor("h").unique())
    if len(hours):  # the hour varies with the day, so that all hours get checked
        leakage.refuse_leak(raw, examples, pd.Timestamp(hours[day.since.toordinal() % len(hours)]))


def write_window(window: Window, folder: Path) -> list[Part]:
    """Write the window's labelled rows, one file per period: one file, unless PERIOD differs from the raw file's period.

    File names are unique to the attempt: a cluster repeats the work of a lost worker, which may still be writing.
    """
    examples = windows.features(window)
    windows.refuse_twice(examples)
    rows = labelled(examples)
    periods = sorted(rows[PERIOD].unique())
    parts = (rows[rows[PERIOD] == period] if len(periods) > 1 else rows for period in periods)
    attempt = uuid.uuid4().hex
    paths = (folder / f"{attempt}.{period}.{window.since}.parquet" for period in periods)
    return list(map(write_part, parts, paths))


def write_part(rows: pd.DataFrame, path: Path) -> Part:
    """Write the rows to `path`."""
    rows.to_parquet(path, index=False, row_group_size=GROUP)
    level = task.level(rows[LABEL].to_numpy(float))
    return Part(path, rows[PERIOD].min(), rows[PERIOD].max(), len(rows), level)


def labelled(examples: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with a label. Raise `Failure` if a label is not one of the task's."""
    rows = examples.dropna(subset=[LABEL])
    if len(wrong := task.impossible(rows[LABEL].to_numpy(float))):
        raise Failure(
            f"{LABEL} is {wrong[0]:g} in {len(wrong):,} row(s), expected {task.TASK.labels}; fix `table` in src/problem/features.py"
        )
    return rows


def first_tested(periods: Iterable[str], test_periods: int) -> str:
    """Return the oldest of the newest `test_periods` periods with labels. Raise `Failure` if none is left before it."""
    known = sorted(set(periods))
    if len(known) <= test_periods:
        raise Failure(
            f"prepare.test_periods is {test_periods} and the data hold {len(known)} period(s) with labels: "
            "none is left to train on; lower it or fetch more"
        )
    return known[-test_periods]


def split(examples: pd.DataFrame, test_periods: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the labelled rows as training rows and test rows: the newest `test_periods` periods are for testing."""
    rows = labelled(examples)
    first = first_tested(rows[PERIOD], test_periods)
    train, test = rows[rows[PERIOD] < first], rows[rows[PERIOD] >= first]
    return train.reset_index(drop=True), test.reset_index(drop=True)
