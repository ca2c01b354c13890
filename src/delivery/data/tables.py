"""Find and read the raw tables under data/: whole tables, pieces of them, or some days."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from delivery.core import workspace
from delivery.core.errors import Failure
from delivery.data import columns as fields
from problem import TABLES, periods

ROWS = 400_000  # rows in a piece


def expected(until: str) -> list[str]:
    """Return the periods up to and including `until`, oldest first. Raise `Failure` if the source does not have it."""
    known = periods()
    if until not in known:
        raise Failure(f"there is no period {until} (fetch.until, --period): the source has {known[0]} to {known[-1]}")
    return known[: known.index(until) + 1]


def following(until: str) -> str:
    """Return the period after `until`. Raise `Failure` if the source has nothing newer."""
    known = expected(until)
    later = [period for period in periods() if period > known[-1]]
    if not later:
        raise Failure(f"the source has nothing newer than {until}")
    return later[0]


def files(name: str, until: str, folder: Path = workspace.DATA) -> list[Path]:
    """Return the files of a table, oldest first.

    Raise `Failure` if the folder is stale: one of its periods is missing, or newer than `until`.
    """
    wanted = expected(until)
    if not TABLES[name].periodic:
        return [folder / f"{name}.parquet"]
    present = sorted(path.stem for path in (folder / name).glob("*.parquet"))
    if present != wanted:
        absent, extra = sorted(set(wanted) - set(present)), sorted(set(present) - set(wanted))
        cause = f"lacks {', '.join(absent)}" if absent else f"also holds {', '.join(extra)}"
        raise Failure(f"{folder / name} is stale: fetch.until is {wanted[-1]} and it {cause}; run `delivery fetch`")
    return [folder / name / f"{period}.parquet" for period in wanted]


def read(until: str, folder: Path = workspace.DATA) -> dict[str, pd.DataFrame]:
    """Return every table of `problem.TABLES`, the periods of a periodic one concatenated in order.

    Raise `Failure` if a file is missing, unreadable, or newer than `until` (a stale folder).
    """
    return {name: together([whole(path) for path in files(name, until, folder)]) for name in TABLES}


class Piece(NamedTuple):
    """Consecutive row groups of one of a table's files."""

    name: str
    path: Path
    groups: tuple[int, ...]
    first: int  # row number of its first row in the table
    rows: int

    def read(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Return the rows, indexed by their row number in the table."""
        import pyarrow.parquet as pq

        with readable(self.path), pq.ParquetFile(self.path) as file:
            rows: pd.DataFrame = file.read_row_groups(list(self.groups), columns and list(columns)).to_pandas()
        return fields.fitted(self.name, rows).set_axis(pd.RangeIndex(self.first, self.first + self.rows))


def pieces(name: str, until: str, folder: Path = workspace.DATA) -> Iterator[Piece]:
    """Yield the pieces of a table: row groups of at least ROWS rows together, fewer at the end of a file."""
    import pyarrow.parquet as pq

    first = 0
    for path in files(name, until, folder):
        with readable(path):
            metadata = pq.read_metadata(path)
        if not metadata.num_rows:
            raise empty(path)
        groups: list[int] = []
        size = 0
        for group in range(metadata.num_row_groups):
            groups.append(group)
            size += metadata.row_group(group).num_rows
            if size >= ROWS or group == metadata.num_row_groups - 1:
                yield Piece(name, path, tuple(groups), first, size)
                groups, first, size = [], first + size, 0


def together(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return the parts as one table; a single part is not copied."""
    return pd.concat(parts, ignore_index=True) if len(parts) > 1 else parts[0]


def newest(name: str, until: str, folder: Path = workspace.DATA) -> int:
    """Return how many rows of a periodic table belong to the period `until`: the last ones that `read` returns."""
    import pyarrow.parquet as pq

    return int(pq.read_metadata(folder / name / f"{until}.parquet").num_rows)


def day_columns(name: str) -> tuple[str, ...]:
    """Return the columns that hold the day of the table's rows; none if the problem does not name them."""
    return getattr(TABLES[name], "day", ())


def days(path: Path, columns: tuple[str, ...]) -> dict[date, int]:
    """Return the number of rows of each day, in order. `columns`: one of timestamps, or year, month and day."""
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
    dates = (value[0] if len(value) == 1 else date(*map(int, value)) for value in values)
    return dict(sorted(zip(dates, counted["count_all"], strict=True)))


def between(path: Path, columns: tuple[str, ...], since: date, until: date) -> pd.DataFrame:
    """Return the rows from `since` to `until`, both included, in the file's order. Skip row groups that have none."""
    import pyarrow.parquet as pq

    with readable(path):
        kinds = [pq.read_schema(path).field(name).type for name in columns]
        if until < date.max:
            until += timedelta(days=1)
        return pd.read_parquet(path, filters=~_before(columns, kinds, since) & _before(columns, kinds, until))


def _before(columns: tuple[str, ...], kinds: Sequence[Any], day: date) -> Any:
    """Return the filter for rows before `day`: it compares columns directly, so that row group statistics can answer it."""
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
    """Return all rows of a file. Raise `Failure` if it is missing, unreadable or empty."""
    with readable(path):
        rows = pd.read_parquet(path)
    if rows.empty:
        raise empty(path)
    return fields.fitted(table_of(path), rows)


def table_of(path: Path) -> str:
    """Return the name of the table that a file holds: its folder's if there is a file for each period, else its own."""
    return path.stem if path.stem in TABLES else path.parent.name


def further(until: str, folder: Path = workspace.DATA) -> dict[str, list[str]]:
    """Return, for each table that has some, the columns of its files that the schema does not name; they are ignored."""
    import pyarrow.parquet as pq

    out: dict[str, list[str]] = {}
    for name in TABLES:
        known, seen = fields.dtypes(name), dict[str, None]()
        for path in files(name, until, folder):
            with readable(path):
                held = pq.read_schema(path)
            index = (held.pandas_metadata or {}).get("index_columns", [])
            seen |= dict.fromkeys(column for column in held.names if column not in known and column not in index)
        if seen:
            out[name] = list(seen)
    return out


def empty(path: Path) -> Failure:
    """Return the failure for a file without rows."""
    return Failure(f"{path} is empty: it has columns and no rows; delete it and run `delivery fetch`")


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn errors of reading `path` into `Failure`."""
    try:
        yield
    except FileNotFoundError:
        raise Failure(f"{path} is missing; run `delivery fetch`") from None
    except (OSError, ValueError) as error:
        cause = str(error).splitlines()[0][:120]
        raise Failure(f"{path} cannot be read ({cause}); delete it and run `delivery fetch`") from None
