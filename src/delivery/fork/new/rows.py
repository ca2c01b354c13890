"""Read a file of rows: its format, the names of its columns in Python, its times and its texts."""

import csv
import keyword
import re
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from delivery.core.errors import Failure

DAYS = ("%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y", "%d-%m-%Y", "%d.%m.%y", "%m/%d/%y", "%d/%m/%y")
CLOCKS = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p")
FORMATS = ["ISO8601", *(day + clock for day in DAYS for clock in CLOCKS)]
MOST = 0.9  # share of values above which a column is meant to hold numbers or times, although some are not
SIGNED = r"[€$£]?\s?-?\d{1,3}(?:[.,'’\s]?\d{3})*(?:[.,]\d+)?\s?[%€$£]?"
COMMA = r"-?\d+(?:,\d+)?"  # a number with a decimal comma
# Columns that the machinery or features.py add: a column of the file with such a name gets an underscore.
TAKEN = {
    "row",
    "period",
    "day",
    "hour",
    "month",
    "day_of_week",
    "prediction",
    "score",
    "champion",
    "candidate",
    "loss",
    "when",
}


def read(path: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return the rows, and the options with which pandas reads a CSV file: separator, decimal comma.

    Raise `Failure` if the file cannot be read or is too small.
    """
    reading: dict[str, Any] = {}
    try:
        if path.suffix == ".parquet":
            frame = pd.read_parquet(path)
        else:
            head = path.read_text(encoding="utf-8-sig")[:65536]
            reading["sep"] = csv.Sniffer().sniff(head.splitlines()[0] if head else "", ",;\t|").delimiter
            frame = pd.read_csv(path, **reading, encoding="utf-8-sig", low_memory=False)
            if reading["sep"] != "," and any(_with_comma(frame[name]) for name in frame):
                reading["decimal"] = ","
                frame = pd.read_csv(path, **reading, encoding="utf-8-sig", low_memory=False)
    except FileNotFoundError:
        raise Failure(f"{path} does not exist") from None
    except UnicodeDecodeError:
        fix = f"save it as `CSV UTF-8`, or `iconv -f windows-1252 -t utf-8 {path} > new.csv`"
        raise Failure(f"{path} is not in UTF-8, as spreadsheets like to save; {fix}") from None
    except (csv.Error, ValueError, OSError) as error:
        cause = " ".join(str(error).split())[:150]
        raise Failure(f"{path} is neither CSV in UTF-8 with a line of names nor parquet: {cause}") from None
    if len(frame) < 100 or frame.shape[1] < 2:
        raise Failure(f"{path} has {len(frame)} rows and {frame.shape[1]} column(s); at least 100 and two are needed")
    return frame.rename(columns=str), reading


def _with_comma(values: pd.Series) -> bool:
    known = values.dropna()
    words = pd.api.types.is_string_dtype(known) and not known.empty
    return words and bool(known.str.fullmatch(COMMA).all() and known.str.contains(",").any())


def identifiers(raws: list[str]) -> dict[str, str]:
    """Return a Python name for each name in the file, no two alike."""
    names: dict[str, str] = {}
    for at, raw in enumerate(raws, 1):
        letters = unicodedata.normalize("NFKD", raw.casefold()).encode("ascii", "ignore").decode()
        name = re.sub(r"\W+", "_", letters).strip("_") or f"column_{at}"
        name = f"n_{name}" if name[0].isdigit() else name
        name = f"{name}_" if keyword.iskeyword(name) or name in TAKEN else name
        while name in names.values():
            name += "_2"
        names[raw] = name
    return names


def moments(values: pd.Series, how: str) -> pd.Series:
    """Return times without zone, in UTC, in microseconds; NaT for any other value.

    `how` is a format, or empty if the column holds times already.
    """
    parsed = pd.to_datetime(values, utc=True, errors="coerce", format=how or None)
    return parsed.dt.tz_localize(None).dt.as_unit("us")


def useless(values: pd.Series) -> str:
    """Return why no model can use a column as it is; empty if one can."""
    known = values.dropna()
    if known.empty:
        return "empty"
    if not pd.api.types.is_hashable(known.iloc[0]):
        return "lists; derive a number from them before"
    if pd.api.types.is_timedelta64_dtype(values):
        return "spans of time; write them as a number of hours or days"
    if pd.api.types.is_datetime64_any_dtype(values):
        return "a second time; derive a number from it in features.py"
    return "the same in every row" if known.nunique() < 2 else ""


def meant(values: pd.Series) -> str:
    """Return what a text column was meant to be and how to write that; empty if it is just text."""
    known = values.dropna().drop_duplicates().head(1000)
    number = pd.to_numeric(known, errors="coerce").notna()
    if number.all():
        return ""  # codes, in a file that knows types
    if number.mean() >= MOST:
        return f"numbers, but for {known[~number].iloc[0]!r}; leave that empty in the file"
    parsed = [moments(known, how).notna() for how in FORMATS]
    best = max(parsed, key=lambda those: those.sum())
    if best.all():
        return "a second time; derive a number from it in features.py"
    if np.any(parsed, axis=0).mean() >= MOST:
        both = f"{known[best].iloc[0]!r} and {known[~best].iloc[0]!r}"
        return f"times, but not all written one way: {both}; write them as 2024-01-31 17:05"
    if known.str.fullmatch(SIGNED).all():
        return f"numbers with signs, such as {known.iloc[0]!r}; write them as 1234.5"
    return ""


def text(values: pd.Series) -> pd.Series:
    """Return values as text: 3.0 and 3 are the same, and so are True and "True"; missing values stay missing."""
    if pd.api.types.is_float_dtype(values) and bool((values.dropna() % 1 == 0).all()):
        values = values.astype("Int64")
    return values.astype("str").where(values.notna())
