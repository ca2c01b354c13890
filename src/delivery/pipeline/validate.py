"""Stage `validate`: check the raw tables against their schema and for skew, and stop the pipeline if they break it."""

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

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

# Counts of each periodic table, before the newest period and in it; None where there is nothing before it.
Evidence = dict[str, tuple[Counts, Counts] | None]


class PieceSummary(NamedTuple):
    """The result of checking one piece of a table."""

    findings: list[Finding]
    keys: np.ndarray  # a hash of each row's key, shape (rows,), uint64
    sample: pd.DataFrame  # rows from before the newest period, to compute bin edges from


def run(params: Params) -> None:
    """Check the data up to fetch.until and write their row counts and skew."""
    until = params.fetch.until
    counts, evidence = inspect(until, params.engine)
    alarm = params.validate.psi_alarm
    skew = {name: tuple(shift.table(*both, SEASONAL, alarm)) if both else () for name, both in evidence.items()}
    refuse_jumps(skew, params.validate.missing_jump)
    documents.write(workspace.VALIDATION, Validation(until, counts, skew))
    print(f"validate: {', '.join(f'{count:,} {name}' for name, count in counts.items())} obey their schemas")


def inspect(until: str, engine: str, folder: Path = workspace.DATA) -> tuple[dict[str, int], Evidence]:
    """Return the row count of each table and the counts of its columns. Raise `Failure` if the data break their schema."""
    return (inspect_whole if engine == "memory" else inspect_pieces)(until, folder)


def check(raw: dict[str, pd.DataFrame]) -> None:
    """Raise `Failure` if the tables break their schema, with table, column, rule, count and first values, one per line."""
    schemas.refuse(finding for name, frame in raw.items() for finding in schemas.violations(name, frame))


def inspect_whole(until: str, folder: Path) -> tuple[dict[str, int], Evidence]:
    """Inspect each table at once, in memory."""
    raw = tables.read(until, folder)
    check(raw)
    out: Evidence = {}
    for name, kind in TABLES.items():
        if kind.periodic:
            old = len(raw[name]) - tables.newest(name, until, folder)
            before, now = raw[name][:old], raw[name][old:]
            bins = column_bins(before[:: sampling_step(old)])
            out[name] = (shift.count(before, bins), shift.count(now, bins)) if old else None
    return {name: len(frame) for name, frame in raw.items()}, out


def inspect_pieces(until: str, folder: Path) -> tuple[dict[str, int], Evidence]:
    """Inspect the tables piece by piece, in as many processes as there are cores."""
    pieces = {name: list(tables.pieces(name, until, folder)) for name in TABLES}
    rows = {name: sum(piece.rows for piece in parts) for name, parts in pieces.items()}
    old = {name: rows[name] - tables.newest(name, until, folder) for name, kind in TABLES.items() if kind.periodic}
    every = list(chain.from_iterable(pieces.values()))
    summaries: dict[str, list[PieceSummary]] = {name: [] for name in TABLES}
    for piece, summary in zip(every, processes.each(partial(summarize, old=old), every), strict=True):
        summaries[piece.name].append(summary)
    findings = [finding for parts in summaries.values() for part in parts for finding in part.findings]
    for name, parts in pieces.items():
        findings += duplicates(parts, np.concatenate([part.keys for part in summaries[name]]))
    schemas.refuse(findings)
    bins = {name: column_bins(pd.concat([part.sample for part in summaries[name]])) for name, n in old.items() if n}
    total: dict[tuple[str, bool], Counts] = {}
    parts = [piece for piece in every if piece.name in bins]
    for piece, counts in zip(parts, processes.each(partial(count_piece, bins=bins), parts), strict=True):
        group = (piece.name, piece.path.stem == until)
        total[group] = shift.added(total[group], counts) if group in total else counts
    both = {name: (total[name, False], total[name, True]) if name in bins else None for name in old}
    return rows, both


def summarize(piece: Piece, old: dict[str, int]) -> PieceSummary:
    """Check a piece. `old`: rows of each periodic table that are older than its newest period."""
    frame, key = piece.read(), list(TABLES[piece.name].key)
    findings = schemas.violations(piece.name, frame, unique=False)
    has_key = set(key) <= set(frame)
    keys = pd.util.hash_pandas_object(frame[key], index=False).to_numpy() if has_key else np.empty(0, np.uint64)
    before = old.get(piece.name, 0)
    return PieceSummary(findings, keys, frame[(frame.index < before) & (frame.index % sampling_step(before) == 0)])


def duplicates(pieces: list[Piece], keys: np.ndarray) -> list[Finding]:
    """Return a finding if a key occurs twice anywhere in the table; `keys`: a hash of each row's key, in order."""
    ordered = np.sort(keys)
    twice = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    if not len(twice) or len(keys) != sum(
        piece.rows for piece in pieces
    ):  # or a key column is missing: another finding
        return []
    rows = pd.concat(processes.each(partial(rows_with_keys, hashes=twice[:CERTAIN]), pieces))
    if not rows.duplicated().any():
        return []  # different keys with the same hash: with 33 million rows, in one case of 30,000
    among = np.isin(keys, twice)
    return [Finding(pieces[0].name, "", schemas.TWICE, int(among.sum()), ((None, int(among.argmax())),))]


def rows_with_keys(piece: Piece, hashes: np.ndarray) -> pd.DataFrame:
    """Return the keys of the piece whose hash is one of `hashes`."""
    rows = piece.read(TABLES[piece.name].key)
    return rows[np.isin(pd.util.hash_pandas_object(rows, index=False), hashes)]


def count_piece(piece: Piece, bins: dict[str, dict[str, shift.Bins]]) -> Counts:
    """Return the counts of the piece in the bins of its table's columns."""
    own = bins[piece.name]
    return shift.count(piece.read(tuple(own)), own)


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
