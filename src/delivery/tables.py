"""The raw tables under data/: which files there should be, and reading them."""

from pathlib import Path

import pandas as pd

from delivery.errors import Failure
from delivery.files import DATA
from problem import TABLES, periods


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


def read(until: str, folder: Path = DATA) -> dict[str, pd.DataFrame]:
    """Every table of `problem.TABLES`, periodic ones put together in order.

    Raises Failure when a file is missing, unreadable, or newer than `until` (a stale folder).
    """
    wanted = expected(until)
    return {name: _table(folder, name, wanted if table.periodic else None) for name, table in TABLES.items()}


def newest(name: str, until: str, folder: Path = DATA) -> int:
    """Rows of the table that are of the period `until`; in what `read` gives they are the last ones."""
    import pyarrow.parquet as pq

    return pq.read_metadata(folder / name / f"{until}.parquet").num_rows


def _table(folder: Path, name: str, wanted: list[str] | None) -> pd.DataFrame:
    if wanted is None:
        return _file(folder / f"{name}.parquet")
    found = sorted(path.stem for path in (folder / name).glob("*.parquet"))
    if found != wanted:
        absent, extra = sorted(set(wanted) - set(found)), sorted(set(found) - set(wanted))
        what = f"lacks {', '.join(absent)}" if absent else f"also holds {', '.join(extra)}"
        raise Failure(
            f"{folder / name} is stale: fetch.until is {wanted[-1]} and it {what}; run `python -m delivery fetch`"
        )
    return pd.concat([_file(folder / name / f"{period}.parquet") for period in wanted], ignore_index=True)


def _file(path: Path) -> pd.DataFrame:
    try:
        rows = pd.read_parquet(path)
    except FileNotFoundError:
        raise Failure(f"{path} is missing; run `python -m delivery fetch`") from None
    except (OSError, ValueError) as error:
        cause = str(error).splitlines()[0][:120]
        raise Failure(f"{path} cannot be read ({cause}); delete it and run `python -m delivery fetch`") from None
    if rows.empty:
        raise Failure(f"{path} is empty: it has columns and no rows; delete it and run `python -m delivery fetch`")
    return rows
