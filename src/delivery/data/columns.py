"""Bring raw tables into the columns of their schema.

A source changes in two ways that lose nothing: it gets further columns, which are left out, and it writes a column of whole
numbers with decimals or the other way round. Anything else is left as it is, for `schemas` to refuse.
"""

from typing import Any

import numpy as np
import pandas as pd
from msgspec import inspect

from problem import TABLES

EXACT = 2**53  # every whole number below it is exact as a float64


def dtypes(name: str) -> dict[str, str]:
    """Return the pandas dtype of each column that the schema of table `name` has."""
    info: Any = inspect.type_info(TABLES[name].row)
    return {field.name: dtype(*plain(field.type)) for field in info.fields}


def plain(kind: Any) -> tuple[Any, bool]:
    """Return a field's type without `None` and annotations, and whether it may be missing."""
    nullable = isinstance(kind, inspect.UnionType)
    if nullable:
        kind = next(part for part in kind.types if not isinstance(part, inspect.NoneType))
    while isinstance(kind, inspect.Metadata):
        kind = kind.type
    return kind, nullable


def dtype(kind: Any, nullable: bool) -> str:
    """Return the pandas dtype of a column of this type. Raise `TypeError` if no column can hold it."""
    match kind:
        case inspect.IntType():
            return "float64" if nullable else "int64"  # int64 cannot hold a missing value
        case inspect.FloatType():
            return "float64"
        case inspect.StrType() | inspect.LiteralType():
            return "str"
        case inspect.DateTimeType():
            return "datetime64[us, UTC]" if kind.tz else "datetime64[us]"
    raise TypeError(f"no column type for {kind}")


def fitted(name: str, rows: pd.DataFrame) -> pd.DataFrame:
    """Return the columns of `rows` that the schema of table `name` has, numbers in its dtype where no value changes."""
    wanted = dtypes(name)
    own = rows[[column for column in rows if column in wanted]] if set(rows) - set(wanted) else rows
    return own.astype(
        {
            column: wanted[str(column)]
            for column in own
            if wanted[str(column)] in ("int64", "float64") and converts(own[column], wanted[str(column)])
        }
    )


def converts(column: pd.Series, to: str) -> bool:
    """Return whether a column of numbers has another dtype than `to` and keeps each value in it."""
    if str(column.dtype) == to or not pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
        return False
    if to == "float64" and pd.api.types.is_float_dtype(column):
        return True
    numbers = column.to_numpy(float, na_value=float("nan"))
    missing = pd.isna(numbers)
    exact = missing | ((np.floor(numbers) == numbers) & (np.abs(numbers) < EXACT))
    return bool(exact.all() and (to == "float64" or not missing.any()))
