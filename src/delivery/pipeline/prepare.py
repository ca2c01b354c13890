"""Stage `prepare`: raw tables to training and test rows, split by time, nothing from the future."""

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

GROUP = 100_000  # rows in a row group: what is read at once where not everything is
SEAMS = 2  # days made again with more around them, to see that windows hold all that is looked at


class Part(NamedTuple):
    """Labelled rows in a file."""

    path: Path
    oldest: str  # periods
    newest: str
    rows: int
    level: list[float]  # of the labels


def run(params: Params) -> None:
    make = whole if params.engine == "memory" else streamed
    with replacing(workspace.PREPARED) as folder:
        folder.mkdir()
        made = make(params, folder)
    for name, parts in made.items():
        rows = [part.rows for part in parts]
        level = np.average([part.level for part in parts], axis=0, weights=rows).tolist()
        print(f"prepare: {sum(rows):,} {name} rows, {parts[0].oldest} to {parts[-1].newest}, {task.worded(level)}")


def whole(params: Params, folder: Path) -> dict[str, list[Part]]:
    """Everything at once; a file each."""
    raw = tables.read(params.fetch.until)
    examples = table(raw)
    windows.refuse_misfit(examples)
    windows.refuse_twice(examples)
    examples = windows.in_order(examples)
    leakage.refuse_leaks(raw, examples)
    train, test = split(examples, params.prepare.test_periods)
    return {name: [written(rows, folder / f"{name}.parquet")] for name, rows in (("train", train), ("test", test))}


def streamed(params: Params, folder: Path) -> dict[str, list[Part]]:
    """The same rows, window by window; a folder of files each."""
    cut = windows.cut(params.fetch.until, params.engine)
    days = windows.by_day(cut)
    work: list[Callable[[], list[Part] | None]] = [
        *(partial(refuse_unfit, day) for day in leakage.spread(days, leakage.MOMENTS)),
        *(partial(windows.refuse_seam, day) for day in leakage.spread(days, SEAMS)),
        *(partial(write, window, folder) for window in cut),
    ]
    parts = [part for made in processes.each(operator.call, work, params.engine) for part in made or ()]
    first = first_tested((part.oldest for part in parts), params.prepare.test_periods)
    out: dict[str, list[Part]] = {"train": [], "test": []}
    for part in parts:
        out["train" if part.oldest < first else "test"].append(part)
    for name, some in out.items():
        (folder / f"{name}.parquet").mkdir()
        for part in some:
            part.path.rename(folder / f"{name}.parquet" / part.path.name.partition(".")[2])
    for left in folder.glob("*.*.*.parquet"):
        left.unlink()
    return out


def refuse_unfit(day: Window) -> None:
    """Raises Failure where the table of a day has not what it should, or knows the future."""
    raw = windows.raw(day)
    examples = table(raw)
    windows.refuse_misfit(examples)
    examples = windows.kept(examples, day)
    hours = np.sort(examples[TIME].dt.floor("h").unique())
    if len(hours):  # another hour on another day
        leakage.refuse_leak(raw, examples, pd.Timestamp(hours[day.since.toordinal() % len(hours)]))


def write(window: Window, folder: Path) -> list[Part]:
    """The window's labelled rows, a file for each period of theirs: one, unless PERIOD is not that of the raw file.

    Their names are this attempt's: a cluster does again what a lost worker had, which may yet be writing.
    """
    examples = windows.features(window)
    windows.refuse_twice(examples)
    rows = labelled(examples)
    periods = sorted(rows[PERIOD].unique())
    parts = (rows[rows[PERIOD] == period] if len(periods) > 1 else rows for period in periods)
    attempt = uuid.uuid4().hex
    paths = (folder / f"{attempt}.{period}.{window.since}.parquet" for period in periods)
    return list(map(written, parts, paths))


def written(rows: pd.DataFrame, path: Path) -> Part:
    rows.to_parquet(path, index=False, row_group_size=GROUP)
    level = task.level(rows[LABEL].to_numpy(float))
    return Part(path, rows[PERIOD].min(), rows[PERIOD].max(), len(rows), level)


def labelled(examples: pd.DataFrame) -> pd.DataFrame:
    rows = examples.dropna(subset=[LABEL])
    if len(wrong := task.impossible(rows[LABEL].to_numpy(float))):
        raise Failure(
            f"{LABEL} is {wrong[0]:g} in {len(wrong):,} row(s), expected {task.TASK.labels}; mend `table` in src/problem/features.py"
        )
    return rows


def first_tested(periods: Iterable[str], test_periods: int) -> str:
    """The oldest of the newest `test_periods`, of the periods with labels."""
    found = sorted(set(periods))
    if len(found) <= test_periods:
        raise Failure(
            f"prepare.test_periods is {test_periods} and the data hold {len(found)} period(s) with labels: "
            "none is left to train on; lower it or fetch more"
        )
    return found[-test_periods]


def split(examples: pd.DataFrame, test_periods: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Labelled rows: the newest `test_periods` periods are for the test, all before for training."""
    rows = labelled(examples)
    first = first_tested(rows[PERIOD], test_periods)
    train, test = rows[rows[PERIOD] < first], rows[rows[PERIOD] >= first]
    return train.reset_index(drop=True), test.reset_index(drop=True)
