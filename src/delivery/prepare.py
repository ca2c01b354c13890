"""Stage `prepare`: raw tables to training and test rows, split by time, nothing from the future."""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from delivery import processes, tables, task, windows
from delivery.errors import Failure
from delivery.files import ARTIFACTS, replacing
from delivery.params import Params
from delivery.windows import Window
from problem import BLOCK, CATEGORIES, FEATURES, KEY, LABEL, PERIOD, SEGMENTS, TIME, known, table

FOLDER = ARTIFACTS / "prepare"
GROUP = 100_000  # rows in a row group: what is read at once where not everything is
MOMENTS = 12  # looked back from, to see that no feature knows the future
SEAMS, FURTHER = 2, 7  # days made again with so many more around them, to see that windows hold all that is looked at


class Part(NamedTuple):
    """Labelled rows in a file."""

    path: Path
    oldest: str  # periods
    newest: str
    rows: int
    level: list[float]  # of the labels


def run(params: Params) -> None:
    make = whole if params.engine == "memory" else streamed
    with replacing(FOLDER) as folder:
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
    refuse_misfit(examples)
    examples = windows.in_order(examples)
    refuse_leaks(raw, examples)
    train, test = split(examples, params.prepare.test_periods)
    return {name: [written(rows, folder / f"{name}.parquet")] for name, rows in (("train", train), ("test", test))}


def streamed(params: Params, folder: Path) -> dict[str, list[Part]]:
    """The same rows, window by window; a folder of files each."""
    cut = windows.cut(params.fetch.until, params.engine)
    days = windows.by_day(cut)
    seams = (windows.wider(day, FURTHER) for day in spread(days, SEAMS))
    for _ in processes.each(refuse_unfit, [*spread(days, MOMENTS), *seams], params.engine):
        pass
    parts = [part for made in processes.each(partial(write, folder=folder), cut, params.engine) for part in made]
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


def write(window: Window, folder: Path) -> list[Part]:
    """The window's labelled rows, a file for each period of theirs: one, unless PERIOD is not that of the raw file.

    Their names are this attempt's: a cluster does again what a lost worker had, which may yet be writing.
    """
    rows = labelled(windows.features(window))
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


def read(name: str) -> pd.DataFrame:
    """Rows `train` or `test`. Raises Failure when the stage has not run."""
    path = FOLDER / f"{name}.parquet"
    if not path.exists():
        raise Failure(f"{path} is missing; run `dvc repro`")
    return pd.read_parquet(path)


def refuse_misfit(examples: pd.DataFrame) -> None:
    """Raises Failure when the table has not what the names in schema.py promise."""
    wanted = dict.fromkeys([*KEY, TIME, BLOCK, PERIOD, *SEGMENTS, *FEATURES, LABEL])
    numbers = [name for name in (*FEATURES, LABEL) if name in examples and name not in CATEGORIES]
    words = [name for name in numbers if not pd.api.types.is_numeric_dtype(examples[name])]
    if absent := [name for name in wanted if name not in examples]:
        found = f"lacks {', '.join(absent)}"
    elif words:
        found = f"has no numbers in {', '.join(words)}; a feature of words is one of CATEGORIES in schema.py"
    elif twice := int(examples.duplicated(list(KEY)).sum()):
        found = f"has {', '.join(KEY)} twice in {twice:,} row(s)"
    else:
        return
    raise Failure(f"the table of features {found}; mend `table` in src/problem/features.py")


def refuse_leaks(raw: Mapping[str, pd.DataFrame], examples: pd.DataFrame) -> None:
    """Raises Failure when a feature changes once everything later than its prediction is hidden.

    At moments spread over the data, the features of the hour's examples are computed again from
    the tables as they stood then (`problem.known`); what differs has seen the future.
    """
    hours = np.sort(examples[TIME].dt.floor("h").unique())
    for moment in pd.DatetimeIndex(spread(hours, MOMENTS)):
        refuse_leak(raw, examples, moment)


def spread(values: Sequence | np.ndarray, number: int) -> list:
    return [values[place] for place in np.linspace(len(values) * 0.05, len(values) - 1, number).astype(int)]


def refuse_leak(raw: Mapping[str, pd.DataFrame], examples: pd.DataFrame, moment: pd.Timestamp) -> None:
    then = table(known(raw, moment.to_pydatetime()))
    before, after = (rows[rows[TIME].dt.floor("h") == moment] for rows in (then, examples))
    before, after = (rows.set_index(list(KEY), drop=False) for rows in (before, after))
    if hidden := len(after.index.difference(before.index)):
        raise Failure(
            f"`known` of {moment} lacks {hidden} of {len(after)} rows asked for in the hour that begins then: they are "
            "there, only what comes later is not; mend it in src/problem/features.py"
        )
    leaked = differing(before, after)
    if leaked:
        raise Failure(
            f"feature {', '.join(leaked)} is not known at prediction time: for {len(after)} rows of {moment} it "
            "changes once later data are hidden; mend src/problem/features.py"
        )


def refuse_unfit(window: Window) -> None:
    """Raises Failure where a day's examples know the future, or are others when more days are read around it."""
    if window.further:
        refuse_seam(window)
        return
    raw = windows.raw(window)
    examples = table(raw)
    refuse_misfit(examples)
    examples = windows.kept(examples, window)
    hours = np.sort(examples[TIME].dt.floor("h").unique())
    if len(hours):  # another hour on another day
        refuse_leak(raw, examples, pd.Timestamp(hours[window.since.toordinal() % len(hours)]))


def refuse_seam(window: Window) -> None:
    """`window` has further days around it: nothing in them may matter to its own examples."""
    near, far = windows.features(window._replace(further=0)), windows.features(window)
    if len(near) != len(far):
        what = f"{len(far):,} examples of {window.since} are {len(near):,}"
    elif changed := [str(name) for name in far if not near[name].equals(far[name])]:
        what = f"{', '.join(changed)} of {window.since} changes"
    else:
        return
    raise Failure(
        f"{what} when only the days are read that TABLES in src/problem/schema.py says are looked at; raise `back` there, "
        "or set engine: memory"
    )


def differing(before: pd.DataFrame, after: pd.DataFrame) -> list[str]:
    """The features whose values are not the same in both; rows are matched by index."""
    before = before.reindex(after.index)
    return [name for name in FEATURES if not before[name].equals(after[name])]
