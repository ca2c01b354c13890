"""Cut the raw data into windows: whole days of a period, and the days before them that `table` looks back at.

The features have one definition, `problem.table`; the engine decides how much of the data it gets at once. In
memory that is one window of everything. A window says what to read and can be sent to any process. The examples of
all windows, concatenated, equal those computed from all data at once.
"""

from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from itertools import accumulate, groupby, pairwise
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from delivery.core import workspace
from delivery.core.errors import Failure
from delivery.data import tables
from delivery.data.columns import fitted
from problem import BLOCK, CATEGORIES, FEATURES, KEY, LABEL, PERIOD, SEGMENTS, TABLES, TIME, table

ROWS = 800_000  # raw rows in a window, roughly: less than a GB of memory while its features are computed
FURTHER = 7  # extra days on both sides, to check that they change nothing


class Window(NamedTuple):
    """The examples of the days `since` to `until`, both included; by default all examples."""

    folder: Path
    newest: str  # the period up to which the folder holds data
    periods: tuple[str, ...]  # the periods whose files hold these days and those that their features look back at
    since: date = date.min
    until: date = date.max
    further: int = 0  # extra days to read on both sides, to check that they change nothing


def cut(newest: str, engine: str, folder: Path = workspace.DATA) -> list[Window]:
    """Return the windows of the data up to and including the period `newest`, oldest first.

    Raise `Failure` if a file is missing or stale, or the data cannot be cut into days.
    """
    wanted = tuple(tables.expected(newest))
    if engine == "memory":
        return [Window(folder, newest, wanted)]
    if whole := [name for name, kind in TABLES.items() if kind.periodic and not tables.day_columns(name)]:
        raise Failure(
            f"engine is {engine}, but {', '.join(whole)} cannot be read day by day: set `day` in TABLES of "
            "src/problem/schema.py, or engine: memory"
        )
    sizes = days(newest, folder)
    for earlier, later in pairwise(wanted):
        if max(sizes[earlier]) >= min(sizes[later]):
            raise Failure(f"{later} begins on {min(sizes[later])}, before {earlier} ends; set engine: memory")
    cuts = [(part[0], part[-1]) for period in wanted for part in divided(sizes[period])]
    return [Window(folder, newest, reached(sizes, *ends), *ends) for ends in cuts]


def days(newest: str, folder: Path) -> dict[str, dict[date, int]]:
    """Return the number of rows of all periodic tables on each day of each period, in order."""
    out: dict[str, dict[date, int]] = {period: {} for period in tables.expected(newest)}
    for name, kind in TABLES.items():
        for path in tables.files(name, newest, folder) if kind.periodic else ():
            for day, rows in tables.days(path, tables.day_columns(name)).items():
                out[path.stem][day] = out[path.stem].get(day, 0) + rows
    return {period: dict(sorted(counts.items())) for period, counts in out.items()}


def divided(sizes: dict[date, int]) -> Iterator[list[date]]:
    """Yield the days of a period in consecutive parts of about ROWS rows each, as even as whole days allow."""
    total = sum(sizes.values())
    number = max(1, round(total / ROWS))
    middles = (done - rows / 2 for done, rows in zip(accumulate(sizes.values()), sizes.values(), strict=True))
    part_of = {day: int(middle / total * number) for day, middle in zip(sizes, middles, strict=True)}
    return (list(part) for _, part in groupby(sizes, part_of.__getitem__))


def reached(sizes: dict[str, dict[date, int]], since: date, until: date) -> tuple[str, ...]:
    """Return the periods that hold these days, or days that their features look back at."""
    earliest = min(first_needed(name, since) for name, kind in TABLES.items() if kind.periodic)
    return tuple(period for period, days in sizes.items() if min(days) <= until and max(days) >= earliest)


def first_needed(name: str, since: date) -> date:
    """Return the first day of the table that the examples of `since` need; date.min if the problem does not say."""
    back = getattr(TABLES[name], "back", None)
    return date.min if back is None else since - timedelta(days=back)


def by_day(cut: Iterable[Window]) -> list[Window]:
    """Return a window for each day of the given ones."""
    pairs = ((window, day.date()) for window in cut for day in pd.date_range(window.since, window.until))
    return [window._replace(since=day, until=day) for window, day in pairs]


def wider(window: Window, further: int) -> Window:
    """Return a window of the same examples that reads `further` more days on both sides."""
    known = tables.expected(window.newest)
    first, last = (known.index(period) for period in (window.periods[0], window.periods[-1]))
    return window._replace(periods=tuple(known[max(0, first - further) : last + further + 1]), further=further)


def raw(window: Window) -> dict[str, pd.DataFrame]:
    """Return the tables with the window's days and those that its features look back at."""
    if window.until == date.max:
        return tables.read(window.newest, window.folder)
    out, further = {}, timedelta(days=window.further)
    for name, kind in TABLES.items():
        if kind.periodic:
            since, until = first_needed(name, window.since), window.until + further
            since = since - further if since > date.min else since
            paths = (window.folder / name / f"{period}.parquet" for period in window.periods)
            columns = tables.day_columns(name)
            rows = tables.together([tables.between(path, columns, since, until) for path in paths])
            out[name] = fitted(name, rows)
        else:
            out[name] = tables.whole(window.folder / f"{name}.parquet")
    return out


def features(window: Window) -> pd.DataFrame:
    """Return the window's examples ordered by day, and within a day as `table` orders them."""
    examples = table(raw(window))
    refuse_misfit(examples)
    return kept(examples, window)


def refuse_misfit(examples: pd.DataFrame) -> None:
    """Raise `Failure` if the table lacks a column that schema.py names, or has text where a number is expected."""
    wanted = dict.fromkeys([*KEY, TIME, BLOCK, PERIOD, *SEGMENTS, *FEATURES, LABEL])
    numbers = [name for name in (*FEATURES, LABEL) if name in examples and name not in CATEGORIES]
    words = [name for name in numbers if not pd.api.types.is_numeric_dtype(examples[name])]
    if absent := [name for name in wanted if name not in examples]:
        problem = f"lacks {', '.join(absent)}"
    elif words:
        problem = f"has no numbers in {', '.join(words)}; a feature of text belongs to CATEGORIES in schema.py"
    else:
        return
    raise Failure(f"the table of features {problem}; fix `table` in src/problem/features.py")


def refuse_twice(examples: pd.DataFrame) -> None:
    """Raise `Failure` if a key occurs twice."""
    if twice := int(examples.duplicated(list(KEY)).sum()):
        raise Failure(
            f"the table of features repeats {', '.join(KEY)} in {twice:,} row(s); fix `table` in src/problem/features.py"
        )


def kept(examples: pd.DataFrame, window: Window) -> pd.DataFrame:
    """Return those of the examples, as `table` computes them from the window's data, that belong to the window.

    Raise `Failure` if an example's TIME is on a later day than the raw rows it is computed from.
    """
    if window.until == date.max:
        return in_order(examples)
    day, until = examples[TIME].dt.normalize(), pd.Timestamp(window.until)
    if len(late := day[day > until]) and not window.further:
        raise Failure(
            f"{len(late):,} examples from the days up to {until:%Y-%m-%d} have a {TIME} on {late.iloc[0]:%Y-%m-%d} and "
            "would be lost when computed day by day; set engine: memory"
        )
    if day.is_monotonic_increasing:  # then a slice does, which copies nothing
        own = slice(*day.searchsorted([pd.Timestamp(window.since), until + timedelta(days=1)]))
        return examples[own].reset_index(drop=True)
    return in_order(examples[(day >= pd.Timestamp(window.since)) & (day <= until)])


def in_order(examples: pd.DataFrame) -> pd.DataFrame:
    """Return the examples ordered by day; within a day their order stays."""
    day = examples[TIME].dt.normalize()
    if not day.is_monotonic_increasing:
        examples = examples.iloc[day.to_numpy().argsort(kind="stable")]
    return examples.reset_index(drop=True)


def refuse_seam(window: Window) -> None:
    """Raise `Failure` if the window's examples change when more days are read around it."""
    near, far = features(window), features(wider(window, FURTHER))
    if len(near) != len(far):
        change = f"{window.since} has {len(near):,} examples instead of {len(far):,}"
    elif changed := [str(name) for name in far if not near[name].equals(far[name])]:
        change = f"{', '.join(changed)} of {window.since} changes"
    else:
        return
    raise Failure(
        f"{change} when only the days are read that `back` in TABLES of src/problem/schema.py covers; raise `back`, "
        "or set engine: memory"
    )
