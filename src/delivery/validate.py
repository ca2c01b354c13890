"""Stage `validate`: the raw tables obey their schema, or the pipeline stops and says where not."""

from typing import Any

import pandas as pd
import pandera.pandas as pa
from msgspec import inspect

from delivery import skew, tables
from delivery.errors import Failure
from delivery.files import REPORTS, write_json
from delivery.params import Params
from problem import KEY, SEASONAL, TABLES

REPORT = REPORTS / "validate.json"
SHOWN = 3  # failing values shown per finding
MANY = 200  # a text column with more values than this is an identifier, whose skew says nothing


def run(params: Params) -> None:
    raw = tables.read(params.fetch.until)
    check(raw)
    until = params.fetch.until
    evidence = {
        name: newest(raw[name], tables.newest(name, until), params) for name, table in TABLES.items() if table.periodic
    }
    refuse_jumps(evidence, params.validate.missing_jump)
    counts = {name: len(frame) for name, frame in raw.items()}
    write_json(REPORT, {"until": until, "rows": counts, "skew": evidence})
    print(f"validate: {', '.join(f'{count:,} {name}' for name, count in counts.items())} obey their schemas")


def check(raw: dict[str, pd.DataFrame]) -> None:
    """Raises Failure that names table, column, rule, count and the first values, a line each."""
    findings = [finding for name, frame in raw.items() for finding in violations(name, frame)]
    if findings:
        lines = "\n".join(f"  {finding}" for finding in findings)
        raise Failure(
            f"the data break their schema in {len(findings)} place(s); mend the source or src/problem/schema.py:\n{lines}"
        )


def violations(name: str, frame: pd.DataFrame) -> list[str]:
    """What breaks the schema of table `name`, as readable lines; pandera finds, we word."""
    if frame.empty:
        return [f"{name}: the table is empty"]
    try:
        schema(name).validate(frame, lazy=True)
    except pa.errors.SchemaErrors as error:
        cases = error.failure_cases
        return [
            _worded(name, str(column), str(rule), rows)
            for (column, rule), rows in cases.groupby(["column", "check"], sort=False, dropna=False)
        ]
    return []


def _worded(table: str, column: str, rule: str, rows: pd.DataFrame) -> str:
    if rule == "column_in_schema":
        return f"{table}: unexpected column {', '.join(map(str, rows.failure_case))}"
    if rule == "column_in_dataframe":
        return f"{table}: missing column {', '.join(map(str, rows.failure_case))}"
    first = ", ".join(
        f"{value!r} (row {index})" for value, index in list(zip(rows.failure_case, rows["index"], strict=True))[:SHOWN]
    )
    if rule == "multiple_fields_uniqueness":
        count = rows["index"].nunique()
        return (
            f"{table}: duplicate key {', '.join(TABLES[table].key)}: {count} rows, first at row {rows['index'].min()}"
        )
    if rule.startswith("dtype"):
        return f"{table}.{column}: wrong type {rows.failure_case.iloc[0]}, expected {rule[7:-2]}"
    return f"{table}.{column}: {rule}: {len(rows)} values, {first}"


def schema(name: str) -> pa.DataFrameSchema:
    """The pandera schema of a table, from its msgspec struct."""
    table = TABLES[name]
    info: Any = inspect.type_info(table.row)
    columns = {field.name: column(field.type) for field in info.fields}
    return pa.DataFrameSchema(columns, strict=True, unique=list(table.key))


def column(kind: Any) -> pa.Column:
    """A pandera column from a field's type: dtype, range, pattern, categories, nullable."""
    nullable = isinstance(kind, inspect.UnionType)
    if nullable:
        kind = next(part for part in kind.types if not isinstance(part, inspect.NoneType))
    while isinstance(kind, inspect.Metadata):
        kind = kind.type
    return pa.Column(_dtype(kind, nullable), _checks(kind), nullable=nullable)


def _dtype(kind: Any, nullable: bool) -> str:
    match kind:
        case inspect.IntType():
            return "float64" if nullable else "int64"  # pandas has no missing integer of this width
        case inspect.FloatType():
            return "float64"
        case inspect.StrType() | inspect.LiteralType():
            return "str"
        case inspect.DateTimeType():
            return "datetime64[us, UTC]" if kind.tz else "datetime64[us]"
    raise TypeError(f"no column type for {kind}")


def _checks(kind: Any) -> list[pa.Check]:
    if isinstance(kind, inspect.LiteralType):
        return [pa.Check.isin(kind.values)]
    if isinstance(kind, inspect.StrType):
        return [pa.Check.str_matches(kind.pattern)] if kind.pattern else []
    bounds: dict[str, Any] = {"ge": pa.Check.ge, "gt": pa.Check.gt, "le": pa.Check.le, "lt": pa.Check.lt}
    return [make(getattr(kind, name)) for name, make in bounds.items() if getattr(kind, name, None) is not None]


def newest(frame: pd.DataFrame, rows: int, params: Params) -> list[dict]:
    """Value skew of the newest period, the last `rows`, against those before; the first one has nothing before it."""
    before, now = frame.iloc[:-rows], frame.iloc[-rows:]
    if before.empty:
        return []
    columns = [str(name) for name in frame if name not in KEY and _comparable(frame[name])]
    return skew.table(before, now, columns, SEASONAL, params.validate.psi_alarm)


def _comparable(column: pd.Series) -> bool:
    """A moment is always another one, and so is what names a single row."""
    moment = pd.api.types.is_datetime64_any_dtype(column)
    return not moment and (pd.api.types.is_numeric_dtype(column) or column.nunique() <= MANY)


def refuse_jumps(evidence: dict[str, list[dict]], limit: float) -> None:
    """Raises Failure when a column is missing far more often than it was: a broken feed, not weather."""
    for name, rows in evidence.items():
        for row in rows:
            if row["missing_now"] - row["missing_before"] > limit:
                raise Failure(
                    f"{name}.{row['column']}: missing in {row['missing_now']:.1%} of the newest period's rows, "
                    f"{row['missing_before']:.1%} before (validate.missing_jump is {limit:.0%}); mend the feed or raise the limit"
                )
