"""Check raw tables against their schema with pandera and describe what breaks it. A table may be checked in pieces."""

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, NamedTuple

import pandas as pd
import pandera.pandas as pa
from msgspec import inspect

from delivery.core.errors import Failure
from delivery.data import columns
from problem import TABLES

SCHEMA = "src/problem/schema.py"
ANNOTATIONS = {"str": "str", "int64": "int", "float64": "float"}  # of a field, by its column's dtype
SHOWN = 3  # failing values to show per finding
TWICE = "multiple_fields_uniqueness"  # pandera's name for the rule that keys are unique


class Finding(NamedTuple):
    """A rule that a column of a table breaks."""

    table: str
    column: str
    rule: str
    cases: int
    first: tuple[tuple[Any, Any], ...]  # the first failing values, each with its row


def refuse(findings: Iterable[Finding], further: Mapping[str, Sequence[str]] | None = None) -> None:
    """Raise `Failure` if there are findings, with table, column, rule, count and first values, one finding per line.

    `further`: the columns of each table that the schema does not name; one of them may be a column that is missing.
    """
    lines = [worded(finding) + proposed(finding, further or {}) for finding in merged(findings)]
    if lines:
        raise Failure(
            f"the data break their schema in {len(lines)} place(s); fix the source or {SCHEMA}:\n"
            + "\n".join(f"  {line}" for line in lines)
        )


def violations(name: str, frame: pd.DataFrame, *, unique: bool = True) -> list[Finding]:
    """Return what breaks the schema of table `name`, with row numbers from the index.

    `unique`: whether to check that keys are unique, which a piece of a table cannot tell.
    """
    if frame.empty:
        return [Finding(name, "", "empty", 0, ())]
    try:
        schema(name, unique=unique).validate(frame, lazy=True)
    except pa.errors.SchemaErrors as error:
        cases = error.failure_cases
        return [
            _finding(name, str(column), str(rule), rows)
            for (column, rule), rows in cases.groupby(["column", "check"], sort=False, dropna=False)
        ]
    return []


def _finding(table: str, column: str, rule: str, rows: pd.DataFrame) -> Finding:
    if rule == TWICE:
        return Finding(table, "", rule, rows["index"].nunique(), ((None, rows["index"].min()),))
    first = rows if rule == "column_in_dataframe" else rows.head(SHOWN)
    return Finding(table, column, rule, len(rows), tuple(zip(first.failure_case, first["index"], strict=True)))


def merged(findings: Iterable[Finding]) -> list[Finding]:
    """Return one finding per table, column and rule: cases added up, the first values from the earliest pieces."""
    out: dict[tuple[str, str, str], Finding] = {}
    for new in findings:
        identity = (new.table, new.column, new.rule)
        if identity not in out:
            out[identity] = new
        elif new.rule != TWICE and not new.rule.startswith("column_in_"):
            old = out[identity]
            out[identity] = old._replace(cases=old.cases + new.cases, first=(*old.first, *new.first)[:SHOWN])
    return list(out.values())


def worded(finding: Finding) -> str:
    """Return the finding as one line."""
    table, column, rule, count, first = finding
    values = ", ".join(str(value) for value, _ in first)
    if rule == "empty":
        return f"{table}: the table is empty"
    if rule == "column_in_dataframe":
        return f"{table}: missing column {values}"
    if rule == TWICE:
        return f"{table}: duplicate key {', '.join(TABLES[table].key)}: {count} rows, first at row {first[0][1]}"
    if rule.startswith("dtype"):
        return f"{table}.{column}: wrong type {first[0][0]}, expected {rule[7:-2]}"
    shown = ", ".join(f"{value!r} (row {row})" for value, row in first)
    return f"{table}.{column}: {rule}: {count} values, {shown}"


def proposed(finding: Finding, further: Mapping[str, Sequence[str]]) -> str:
    """Return the edit of schema.py that takes a changed column for what it is; empty for any other finding."""
    owner, column = TABLES[finding.table].row.__name__, str(finding.first[0][0]) if finding.first else ""
    others = [str(name) for name in further.get(finding.table, ())]
    absent = finding.rule == "column_in_dataframe"
    # Absent from the newest periods only, a column has gaps where these are put behind the older ones.
    if absent or finding.rule == "not_nullable":
        lost = column if absent else finding.column
        if near := get_close_matches(lost, others, n=1, cutoff=0.5) or (others if len(others) == 1 else []):
            return f"; if the source has renamed it to {near[0]}, rename it in class {owner} and wherever src/problem uses it"
    if absent:
        return f"; if the source has it no longer, remove it from class {owner} and from what src/problem computes"
    if finding.rule.startswith("dtype") and column in ANNOTATIONS:
        return f"; if the source is right, write `{finding.column}: {ANNOTATIONS[column]}` in class {owner}, with `| None` if it has gaps"
    return ""


def schema(name: str, *, unique: bool = True) -> pa.DataFrameSchema:
    """Return the pandera schema of a table, derived from its msgspec struct."""
    table = TABLES[name]
    info: Any = inspect.type_info(table.row)
    own = {field.name: column(field.type) for field in info.fields}
    return pa.DataFrameSchema(own, strict=True, unique=list(table.key) if unique else None)


def column(kind: Any) -> pa.Column:
    """Return the pandera column for a field's type: dtype, range, pattern, categories, nullable."""
    bare, nullable = columns.plain(kind)
    return pa.Column(columns.dtype(bare, nullable), _checks(bare), nullable=nullable)


def _checks(kind: Any) -> list[pa.Check]:
    if isinstance(kind, inspect.LiteralType):
        return [pa.Check.isin(kind.values)]
    if isinstance(kind, inspect.StrType):
        return [pa.Check.str_matches(kind.pattern)] if kind.pattern else []
    bounds: dict[str, Any] = {"ge": pa.Check.ge, "gt": pa.Check.gt, "le": pa.Check.le, "lt": pa.Check.lt}
    return [make(getattr(kind, name)) for name, make in bounds.items() if getattr(kind, name, None) is not None]
