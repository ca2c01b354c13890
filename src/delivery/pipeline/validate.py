"""Stage `validate`: check the raw tables against their schema and for skew, and stop the pipeline if they break it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from msgspec import UNSET

from delivery.compute import processes
from delivery.core import documents, workspace
from delivery.core.errors import Failure
from delivery.core.params import Params
from delivery.data import schemas, tables
from delivery.data.schemas import Finding
from delivery.data.tables import Piece
from delivery.stats import shift
from delivery.stats.shift import Counts, ShiftRow, Validation
from problem import KEY, SEASONAL, TABLES

MANY = 200  # distinct values; a text column with more is an identifier, whose skew means nothing
CERTAIN = 1000  # duplicated hashes whose keys are compared, to tell duplicates from collisions

Hashes = npt.NDArray[np.uint64]
# Counts of each periodic table, before the newest period and in it; None where there is nothing before it.
Evidence = dict[str, tuple[Counts, Counts] | None]


class WholeTable(NamedTuple):
    """A table that is in memory: the only piece of it."""

    name: str
    frame: pd.DataFrame

    @property
    def rows(self) -> int:
        """Return the number of rows."""
        return len(self.frame)

    def read(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Return the rows, indexed by their row number."""
        return self.frame if columns is None else self.frame[list(columns)]


AnyPiece = Piece | WholeTable
Pieces = Mapping[str, Sequence[AnyPiece]]
Each = Callable[[Callable[[AnyPiece], Any], Sequence[AnyPiece]], Iterable[Any]]  # `map`, in this process or in several


class PieceSummary(NamedTuple):
    """The result of checking one piece of a table."""

    findings: list[Finding]
    keys: Hashes  # of each row's key, shape (rows,)
    sample: pd.DataFrame  # rows from before the newest period, to compute bin edges from


def run(params: Params) -> None:
    """Check the data up to fetch.until and write their row counts and skew."""
    until = params.fetch.until
    counts, evidence = inspect(until, params.engine)
    alarm = params.validate.psi_alarm
    skew = {name: tuple(shift.table(*both, SEASONAL, alarm)) if both else () for name, both in evidence.items()}
    refuse_jumps(skew, params.validate.missing_jump)
    documents.write(workspace.VALIDATION, Validation(until, counts, skew, tables.further(until) or UNSET))
    print(f"validate: {', '.join(f'{count:,} {name}' for name, count in counts.items())} obey their schemas")


def inspect(until: str, engine: str, folder: Path = workspace.DATA) -> tuple[dict[str, int], Evidence]:
    """Return the row count of each table and the counts of its columns. Raise `Failure` if the data break their schema.

    Print which columns of the source are ignored, because the schema does not name them. In memory each table is one piece.
    Otherwise its pieces are read one after the other, in as many processes as there are cores.
    """
    in_memory = engine == "memory"
    each: Each = map if in_memory else processes.each
    pieces: Pieces = (
        whole_tables(tables.read(until, folder))
        if in_memory
        else {name: list(tables.pieces(name, until, folder)) for name in TABLES}
    )
    rows = {name: sum(piece.rows for piece in parts) for name, parts in pieces.items()}
    old = {name: rows[name] - tables.newest(name, until, folder) for name, kind in TABLES.items() if kind.periodic}
    further = tables.further(until, folder)
    samples = check(pieces, old, each, further)
    if further:
        print(f"validate: ignored, because {schemas.SCHEMA} does not name it: {', '.join(shift.named(further))}")
    bins = {name: column_bins(samples[name]) for name, number in old.items() if number}
    parts = [piece for name in bins for piece in pieces[name]]
    counted = each(partial(count_piece, old=old, bins=bins), parts)
    total: dict[tuple[str, bool], Counts] = {}
    for piece, sides in zip(parts, counted, strict=True):
        for is_new, counts in sides.items():
            group = (piece.name, is_new)
            total[group] = shift.added(total[group], counts) if group in total else counts
    return rows, {name: (total[name, False], total[name, True]) if name in bins else None for name in old}


def whole_tables(raw: Mapping[str, pd.DataFrame]) -> dict[str, list[WholeTable]]:
    """Return each table as its only piece."""
    return {name: [WholeTable(name, frame.set_axis(pd.RangeIndex(len(frame))))] for name, frame in raw.items()}


def check(
    pieces: Pieces, old: Mapping[str, int], each: Each, further: Mapping[str, Sequence[str]] | None = None
) -> dict[str, pd.DataFrame]:
    """Return a sample of the rows of each table that are older than its newest period. `old`: how many there are.

    `further`: the columns of each table that its schema does not name.
    Raise `Failure` if the tables break their schema, with table, column, rule, count and first values, one per line.
    """
    every = list(chain.from_iterable(pieces.values()))
    summaries: dict[str, list[PieceSummary]] = {name: [] for name in pieces}
    for piece, summary in zip(every, each(partial(summarize, old=old), every), strict=True):
        summaries[piece.name].append(summary)
    findings = [finding for parts in summaries.values() for part in parts for finding in part.findings]
    for name, parts in pieces.items():
        findings += duplicates(parts, np.concatenate([part.keys for part in summaries[name]]), each)
    schemas.refuse(findings, further)
    return {name: tables.together([part.sample for part in parts]) for name, parts in summaries.items()}


def summarize(piece: AnyPiece, old: Mapping[str, int]) -> PieceSummary:
    """Check a piece. `old`: rows of each periodic table that are older than its newest period."""
    frame, key = piece.read(), list(TABLES[piece.name].key)
    findings = schemas.violations(piece.name, frame, unique=False)
    keys: Hashes = np.empty(0, np.uint64)
    if set(key) <= set(frame):
        keys = np.asarray(pd.util.hash_pandas_object(frame[key], index=False), np.uint64)
    before = old.get(piece.name, 0)
    return PieceSummary(findings, keys, frame[(frame.index < before) & (frame.index % sampling_step(before) == 0)])


def duplicates(pieces: Sequence[AnyPiece], keys: Hashes, each: Each) -> list[Finding]:
    """Return a finding if a key occurs twice anywhere in the table; `keys`: a hash of each row's key, in order."""
    ordered = np.sort(keys)
    twice = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    rows = sum(piece.rows for piece in pieces)
    if not len(twice) or len(keys) != rows:  # or a key column is missing: another finding
        return []
    suspects: pd.DataFrame = pd.concat(each(partial(rows_with_keys, hashes=twice[:CERTAIN]), pieces))
    if not suspects.duplicated().any():
        return []  # different keys with the same hash: with 33 million rows, in one case of 30,000
    among = np.isin(keys, twice)
    return [Finding(pieces[0].name, "", schemas.TWICE, int(among.sum()), ((None, int(among.argmax())),))]


def rows_with_keys(piece: AnyPiece, hashes: Hashes) -> pd.DataFrame:
    """Return the keys of the piece whose hash is one of `hashes`."""
    rows = piece.read(TABLES[piece.name].key)
    return rows[np.isin(pd.util.hash_pandas_object(rows, index=False), hashes)]


def count_piece(
    piece: AnyPiece, old: Mapping[str, int], bins: Mapping[str, dict[str, shift.Bins]]
) -> dict[bool, Counts]:
    """Return the counts of the piece's rows in the bins of its table's columns: False for the older ones, True for the newest."""
    own = bins[piece.name]
    rows = piece.read(tuple(own))
    sides = {False: rows[rows.index < old[piece.name]], True: rows[rows.index >= old[piece.name]]}
    return {is_new: shift.count(side, own) for is_new, side in sides.items() if len(side)}


def sampling_step(rows: int) -> int:
    """Return n so that every n-th of `rows` rows gives about CUT_ROWS rows to compute bin edges from."""
    return max(1, rows // shift.CUT_ROWS)


def column_bins(sample: pd.DataFrame) -> dict[str, shift.Bins]:
    """Return the bins of each column whose distribution can be compared."""
    return shift.bins(sample, [str(name) for name in sample if name not in KEY and comparable(sample[name])])


def comparable(column: pd.Series) -> bool:
    """Return whether a column's distribution can repeat: neither timestamps nor identifiers do."""
    timestamps = pd.api.types.is_datetime64_any_dtype(column)
    return not timestamps and (pd.api.types.is_numeric_dtype(column) or column.nunique() <= MANY)


def refuse_jumps(evidence: Mapping[str, Sequence[ShiftRow]], limit: float) -> None:
    """Raise `Failure` if a column is missing far more often than before: the sign of a broken feed."""
    for name, rows in evidence.items():
        for row in rows:
            if row.missing_now - row.missing_before > limit:
                raise Failure(
                    f"{name}.{row.column}: missing in {row.missing_now:.1%} of the newest period's rows, "
                    f"{row.missing_before:.1%} before (validate.missing_jump is {limit:.0%}); fix the feed or raise the limit"
                )
