"""The raw data in windows: whole days of a period, and the days before them that `table` looks back at.

The features have one definition, `problem.table`; the engine decides how much of the data it is given at once. In
memory that is one window of everything. A window says what to read and may be sent to any process; the examples of
all windows, one after the other, are those of everything at once.
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
from problem import BLOCK, CATEGORIES, FEATURES, KEY, LABEL, PERIOD, SEGMENTS, TABLES, TIME, table

ROWS = 800_000  # raw ones in a window, about: less than a GB while its features are made
FURTHER = 7  # days more on both sides, to see that they do not matter


class Window(NamedTuple):
    """The examples of the days `since` to `until`; unless they are given, of everything."""

    folder: Path
    newest: str  # the period up to which the folder holds data
    periods: tuple[str, ...]  # whose files hold these days, and those that are looked back at
    since: date = date.min
    until: date = date.max
    further: int = 0  # days more are read on both sides, to see that they do not matter


def cut(newest: str, where: str, folder: Path = workspace.DATA) -> list[Window]:
    """The windows of the data up to and including the period `newest`, oldest first.

    Raises Failure when a file is missing or stale, or the data cannot be cut.
    """
    wanted = tuple(tables.expected(newest))
    if where == "memory":
        return [Window(folder, newest, wanted)]
    if whole := [name for name, kind in TABLES.items() if kind.periodic and not tables.day_columns(name)]:
        raise Failure(
            f"engine is {where}, but {', '.join(whole)} cannot be read by days: name `day` in TABLES of "
            "src/problem/schema.py, or set engine: memory"
        )
    sizes = days(newest, folder)
    for earlier, later in pairwise(wanted):
        if max(sizes[earlier]) >= min(sizes[later]):
            raise Failure(f"{later} begins on {min(sizes[later])}, before {earlier} ends; set engine: memory")
    cuts = [(part[0], part[-1]) for period in wanted for part in divided(sizes[period])]
    return [Window(folder, newest, reached(sizes, *ends), *ends) for ends in cuts]


def days(newest: str, folder: Path) -> dict[str, dict[date, int]]:
    """Rows of all periodic tables together, on each day of each period, in order."""
    out: dict[str, dict[date, int]] = {period: {} for period in tables.expected(newest)}
    for name, kind in TABLES.items():
        for path in tables.files(name, newest, folder) if kind.periodic else ():
            for day, rows in tables.days(path, tables.day_columns(name)).items():
                out[path.stem][day] = out[path.stem].get(day, 0) + rows
    return {period: dict(sorted(found.items())) for period, found in out.items()}


def divided(sizes: dict[date, int]) -> Iterator[list[date]]:
    """The days of a period in parts that follow one another, of about ROWS each, as even as days allow."""
    total = sum(sizes.values())
    number = max(1, round(total / ROWS))
    middles = (done - rows / 2 for done, rows in zip(accumulate(sizes.values()), sizes.values(), strict=True))
    place = {day: int(middle / total * number) for day, middle in zip(sizes, middles, strict=True)}
    return (list(part) for _, part in groupby(sizes, place.__getitem__))


def reached(sizes: dict[str, dict[date, int]], since: date, until: date) -> tuple[str, ...]:
    """The periods that hold these days, or days that are looked back at from them."""
    earliest = min(looked_back(name, since) for name, kind in TABLES.items() if kind.periodic)
    return tuple(period for period, found in sizes.items() if min(found) <= until and max(found) >= earliest)


def looked_back(name: str, since: date) -> date:
    """The first day of the table that matters for the examples of `since`: all of them where the problem is silent."""
    back = getattr(TABLES[name], "back", None)
    return date.min if back is None else since - timedelta(days=back)


def by_day(cut: Iterable[Window]) -> list[Window]:
    """A window for each of their days."""
    days = ((window, pd.date_range(window.since, window.until)) for window in cut)
    return [window._replace(since=day.date(), until=day.date()) for window, found in days for day in found]


def wider(window: Window, further: int) -> Window:
    """The same examples, made with so many more days around them."""
    known = tables.expected(window.newest)
    first, last = (known.index(period) for period in (window.periods[0], window.periods[-1]))
    return window._replace(periods=tuple(known[max(0, first - further) : last + further + 1]), further=further)


def raw(window: Window) -> dict[str, pd.DataFrame]:
    """The tables with the window's days and those that are looked back at."""
    if window.until == date.max:
        return tables.read(window.newest, window.folder)
    out, further = {}, timedelta(days=window.further)
    for name, kind in TABLES.items():
        if kind.periodic:
            since, until = looked_back(name, window.since), window.until + further
            since = since - further if since > date.min else since
            paths = (window.folder / name / f"{period}.parquet" for period in window.periods)
            columns = tables.day_columns(name)
            out[name] = tables.together([tables.between(path, columns, since, until) for path in paths])
        else:
            out[name] = tables.whole(window.folder / f"{name}.parquet")
    return out


def features(window: Window) -> pd.DataFrame:
    """The window's examples in the order of their days, within a day in that of `table`."""
    examples = table(raw(window))
    refuse_misfit(examples)
    return kept(examples, window)


def refuse_misfit(examples: pd.DataFrame) -> None:
    """Raises Failure when the table has not what the names in schema.py promise."""
    wanted = dict.fromkeys([*KEY, TIME, BLOCK, PERIOD, *SEGMENTS, *FEATURES, LABEL])
    numbers = [name for name in (*FEATURES, LABEL) if name in examples and name not in CATEGORIES]
    words = [name for name in numbers if not pd.api.types.is_numeric_dtype(examples[name])]
    if absent := [name for name in wanted if name not in examples]:
        found = f"lacks {', '.join(absent)}"
    elif words:
        found = f"has no numbers in {', '.join(words)}; a feature of words is one of CATEGORIES in schema.py"
    else:
        return
    raise Failure(f"the table of features {found}; mend `table` in src/problem/features.py")


def refuse_twice(examples: pd.DataFrame) -> None:
    if twice := int(examples.duplicated(list(KEY)).sum()):
        raise Failure(
            f"the table of features has {', '.join(KEY)} twice in {twice:,} row(s); mend `table` in src/problem/features.py"
        )


def kept(examples: pd.DataFrame, window: Window) -> pd.DataFrame:
    """The window's own ones of the examples that `table` gives for it.

    Raises Failure when an example's TIME is on a later day than the rows that it is made of.
    """
    if window.until == date.max:
        return in_order(examples)
    day, until = examples[TIME].dt.normalize(), pd.Timestamp(window.until)
    if len(late := day[day > until]) and not window.further:
        raise Failure(
            f"{len(late):,} examples made of the days until {until:%Y-%m-%d} have a {TIME} on {late.iloc[0]:%Y-%m-%d}: "
            "made by days they would be lost; set engine: memory"
        )
    if day.is_monotonic_increasing:  # then it is a slice, which copies nothing
        own = slice(*day.searchsorted([pd.Timestamp(window.since), until + timedelta(days=1)]))
        return examples[own].reset_index(drop=True)
    return in_order(examples[(day >= pd.Timestamp(window.since)) & (day <= until)])


def in_order(examples: pd.DataFrame) -> pd.DataFrame:
    day = examples[TIME].dt.normalize()
    if not day.is_monotonic_increasing:
        examples = examples.iloc[day.to_numpy().argsort(kind="stable")]
    return examples.reset_index(drop=True)


def refuse_seam(window: Window) -> None:
    """Raises Failure where the window's examples are others when more days are read around it."""
    near, far = features(window), features(wider(window, FURTHER))
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
