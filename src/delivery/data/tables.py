"""The raw tables under data/: which files there should be, and reading them, whole or some days of them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from delivery.core import workspace
from delivery.core.errors import Failure
from problem import TABLES, periods

ROWS = 400_000  # in a piece


def expected(until: str) -> list[str]:
    """The periods up to and including `until`, oldest first."""
    known = periods()
    if until not in known:
        raise Failure(f"there is no period {until} (fetch.until, --month): the source has {known[0]} to {known[-1]}")
    return known[: known.index(until) + 1]


def following(until: str) -> str:
    """Raises Failure when the source has nothing newer."""
    months = expected(until)
    later = [period for period in periods() if period > months[-1]]
    if not later:
        raise Failure(f"the source has nothing newer than {until}")
    return later[0]


def files(name: str, until: str, folder: Path = workspace.DATA) -> list[Path]:
    """The files of a table, oldest first. Raises Failure when one is missing, or newer than `until` (a stale folder)."""
    wanted = expected(until)
    if not TABLES[name].periodic:
        return [folder / f"{name}.parquet"]
    found = sorted(path.stem for path in (folder / name).glob("*.parquet"))
    if found != wanted:
        absent, extra = sorted(set(wanted) - set(found)), sorted(set(found) - set(wanted))
        what = f"lacks {', '.join(absent)}" if absent else f"also holds {', '.join(extra)}"
        raise Failure(f"{folder / name} is stale: fetch.until is {wanted[-1]} and it {what}; run `delivery fetch`")
    return [folder / name / f"{period}.parquet" for period in wanted]


def read(until: str, folder: Path = workspace.DATA) -> dict[str, pd.DataFrame]:
    """Every table of `problem.TABLES`, periodic ones put together in order.

    Raises Failure when a file is missing, unreadable, or newer than `until` (a stale folder).
    """
    return {name: together([whole(path) for path in files(name, until, folder)]) for name in TABLES}


class Piece(NamedTuple):
    """Row groups of a table's file."""

    name: str
    path: Path
    groups: tuple[int, ...]
    first: int  # place of its first row in the table
    rows: int

    def read(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """With the rows' places in the table as index."""
        import pyarrow.parquet as pq

        with readable(self.path), pq.ParquetFile(self.path) as file:
            rows = file.read_row_groups(list(self.groups), columns and list(columns)).to_pandas()
        return rows.set_axis(pd.RangeIndex(self.first, self.first + self.rows))


def pieces(name: str, until: str, folder: Path = workspace.DATA) -> Iterator[Piece]:
    """A table in pieces of about ROWS, or of one row group where these are larger."""
    import pyarrow.parquet as pq

    first = 0
    for path in files(name, until, folder):
        with readable(path):
            about = pq.read_metadata(path)
        if not about.num_rows:
            raise empty(path)
        groups: list[int] = []
        size = 0
        for group in range(about.num_row_groups):
            groups.append(group)
            size += about.row_group(group).num_rows
            if size >= ROWS or group == about.num_row_groups - 1:
                yield Piece(name, path, tuple(groups), first, size)
                groups, first, size = [], first + size, 0


def together(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    return pd.concat(parts, ignore_index=True) if len(parts) > 1 else parts[0]


def newest(name: str, until: str, folder: Path = workspace.DATA) -> int:
    """Rows of the table that are of the period `until`; in what `read` gives they are the last ones."""
    import pyarrow.parquet as pq

    return pq.read_metadata(folder / name / f"{until}.parquet").num_rows


def day_columns(name: str) -> tuple[str, ...]:
    """What says the day of the table's rows; nothing where the problem does not know."""
    return getattr(TABLES[name], "day", ())


def days(path: Path, columns: tuple[str, ...]) -> dict[date, int]:
    """How many rows each day has, in order. `columns`: one of moments, or year, month and day."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with readable(path):
        rows = pq.read_table(path, columns=list(columns))
    if not len(rows):
        raise empty(path)
    if len(columns) == 1:
        rows = rows.set_column(0, columns[0], rows[0].cast(pa.date32()))
    counted = rows.group_by(list(columns)).aggregate([([], "count_all")]).to_pydict()
    values = zip(*(counted[column] for column in columns), strict=True)
    found = (value[0] if len(value) == 1 else date(*value) for value in values)
    return dict(sorted(zip(found, counted["count_all"], strict=True)))


def between(path: Path, columns: tuple[str, ...], since: date, until: date) -> pd.DataFrame:
    """The rows of these days, in the file's order; row groups that have none of them are not read."""
    import pyarrow.parquet as pq

    with readable(path):
        kinds = [pq.read_schema(path).field(name).type for name in columns]
        if until < date.max:
            until += timedelta(days=1)
        return pd.read_parquet(path, filters=~_before(columns, kinds, since) & _before(columns, kinds, until))


def _before(columns: tuple[str, ...], kinds: Sequence[Any], day: date) -> Any:
    """Comparisons of plain columns, which the statistics of a row group can answer."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if len(columns) == 1:
        moment = datetime.combine(day, time()) if pa.types.is_timestamp(kinds[0]) else day
        return pc.field(columns[0]) < pa.scalar(moment, kinds[0])
    year, month, number = map(pc.field, columns)
    return (year < day.year) | (
        (year == day.year) & ((month < day.month) | ((month == day.month) & (number < day.day)))
    )


def whole(path: Path) -> pd.DataFrame:
    with readable(path):
        rows = pd.read_parquet(path)
    if rows.empty:
        raise empty(path)
    return rows


def empty(path: Path) -> Failure:
    return Failure(f"{path} is empty: it has columns and no rows; delete it and run `delivery fetch`")


@contextmanager
def readable(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise Failure(f"{path} is missing; run `delivery fetch`") from None
    except (OSError, ValueError) as error:
        cause = str(error).splitlines()[0][:120]
        raise Failure(f"{path} cannot be read ({cause}); delete it and run `delivery fetch`") from None
