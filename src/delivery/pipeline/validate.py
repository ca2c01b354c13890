"""Stage `validate`: the raw tables obey their schema, or the pipeline stops and says where not."""

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

MANY = 200  # a text column with more values than this is an identifier, whose skew says nothing
CERTAIN = 1000  # keys that seem to be there twice are compared themselves


Evidence = dict[str, tuple[Counts, Counts] | None]  # of each periodic table, before the newest period and in it


class Seen(NamedTuple):
    """What a piece of a table has to say."""

    findings: list[Finding]
    keys: np.ndarray  # a hash of each row's key
    sample: pd.DataFrame


def run(params: Params) -> None:
    until = params.fetch.until
    counts, evidence = looked_at(until, params.engine)
    alarm = params.validate.psi_alarm
    skew = {name: tuple(shift.table(*both, SEASONAL, alarm)) if both else () for name, both in evidence.items()}
    refuse_jumps(skew, params.validate.missing_jump)
    documents.write(workspace.VALIDATION, Validation(until, counts, skew))
    print(f"validate: {', '.join(f'{count:,} {name}' for name, count in counts.items())} obey their schemas")


def looked_at(until: str, engine: str, folder: Path = workspace.DATA) -> tuple[dict[str, int], Evidence]:
    """Rows of each table, and what its columns hold. Raises Failure when the data break their schema."""
    return (in_memory if engine == "memory" else streamed)(until, folder)


def check(raw: dict[str, pd.DataFrame]) -> None:
    """Raises Failure that names table, column, rule, count and the first values, a line each."""
    schemas.refuse(finding for name, frame in raw.items() for finding in schemas.violations(name, frame))


def in_memory(until: str, folder: Path) -> tuple[dict[str, int], Evidence]:
    raw = tables.read(until, folder)
    check(raw)
    out: Evidence = {}
    for name, kind in TABLES.items():
        if kind.periodic:
            old = len(raw[name]) - tables.newest(name, until, folder)
            before, now = raw[name][:old], raw[name][old:]
            where = bins(before[:: step(old)])
            out[name] = (shift.count(before, where), shift.count(now, where)) if old else None
    return {name: len(frame) for name, frame in raw.items()}, out


def streamed(until: str, folder: Path) -> tuple[dict[str, int], Evidence]:
    """The same, a piece at a time in as many processes as there are cores."""
    pieces = {name: list(tables.pieces(name, until, folder)) for name in TABLES}
    rows = {name: sum(piece.rows for piece in parts) for name, parts in pieces.items()}
    old = {name: rows[name] - tables.newest(name, until, folder) for name, kind in TABLES.items() if kind.periodic}
    every = list(chain.from_iterable(pieces.values()))
    seen: dict[str, list[Seen]] = {name: [] for name in TABLES}
    for piece, found in zip(every, processes.each(partial(look, old=old), every), strict=True):
        seen[piece.name].append(found)
    findings = [finding for parts in seen.values() for part in parts for finding in part.findings]
    for name, parts in pieces.items():
        findings += duplicates(parts, np.concatenate([part.keys for part in seen[name]]))
    schemas.refuse(findings)
    where = {name: bins(pd.concat([part.sample for part in seen[name]])) for name, rows in old.items() if rows}
    total: dict[tuple[str, bool], Counts] = {}
    parts = [piece for piece in every if piece.name in where]
    for piece, counts in zip(parts, processes.each(partial(count, where=where), parts), strict=True):
        place = (piece.name, piece.path.stem == until)
        total[place] = shift.added(total[place], counts) if place in total else counts
    both = {name: (total[name, False], total[name, True]) if name in where else None for name in old}
    return rows, both


def look(piece: Piece, old: dict[str, int]) -> Seen:
    """`old`: rows of each periodic table that are before its newest period."""
    frame, key = piece.read(), list(TABLES[piece.name].key)
    findings = schemas.violations(piece.name, frame, unique=False)
    there = set(key) <= set(frame)
    keys = pd.util.hash_pandas_object(frame[key], index=False).to_numpy() if there else np.empty(0, np.uint64)
    before = old.get(piece.name, 0)
    return Seen(findings, keys, frame[(frame.index < before) & (frame.index % step(before) == 0)])


def duplicates(pieces: list[Piece], keys: np.ndarray) -> list[Finding]:
    """Of keys that are there twice, wherever in the table; `keys`: a hash of each."""
    ordered = np.sort(keys)
    twice = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    if not len(twice) or len(keys) != sum(piece.rows for piece in pieces):  # then a column is missing, which is said
        return []
    rows = pd.concat(processes.each(partial(of_keys, hashes=twice[:CERTAIN]), pieces))
    if not rows.duplicated().any():
        return []  # others that have the same hash: of 33 million rows in one case of 30,000
    among = np.isin(keys, twice)
    return [Finding(pieces[0].name, "", schemas.TWICE, int(among.sum()), ((None, int(among.argmax())),))]


def of_keys(piece: Piece, hashes: np.ndarray) -> pd.DataFrame:
    rows = piece.read(TABLES[piece.name].key)
    return rows[np.isin(pd.util.hash_pandas_object(rows, index=False), hashes)]


def count(piece: Piece, where: dict[str, dict[str, shift.Bins]]) -> Counts:
    own = where[piece.name]
    return shift.count(piece.read(tuple(own)), own)


def step(rows: int) -> int:
    """Of so many rows each how manieth is in the sample that bins are cut on."""
    return max(1, rows // shift.CUT_ROWS)


def bins(sample: pd.DataFrame) -> dict[str, shift.Bins]:
    return shift.bins(sample, [str(name) for name in sample if name not in KEY and comparable(sample[name])])


def comparable(column: pd.Series) -> bool:
    """A moment is always another one, and so is what names a single row."""
    moment = pd.api.types.is_datetime64_any_dtype(column)
    return not moment and (pd.api.types.is_numeric_dtype(column) or column.nunique() <= MANY)


def refuse_jumps(evidence: Mapping[str, Sequence[ShiftRow]], limit: float) -> None:
    """Raises Failure when a column is missing far more often than it was: a broken feed, not weather."""
    for name, rows in evidence.items():
        for row in rows:
            if row.missing_now - row.missing_before > limit:
                raise Failure(
                    f"{name}.{row.column}: missing in {row.missing_now:.1%} of the newest period's rows, "
                    f"{row.missing_before:.1%} before (validate.missing_jump is {limit:.0%}); mend the feed or raise the limit"
                )
