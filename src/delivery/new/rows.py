"""A file of rows: its reading, the names of its columns in Python, its times and its words."""

import csv
import keyword
import re
import unicodedata
from pathlib import Path

import pandas as pd

from delivery.errors import Failure

FORMATS = [
    "ISO8601",
    *(day + clock for day in ("%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y", "%d-%m-%Y") for clock in ("", " %H:%M", " %H:%M:%S")),
]
# Columns that the machinery or features.py make: a column of the file with such a name gets an underscore.
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


def read(path: Path) -> tuple[pd.DataFrame, str]:
    """The rows, and the separator of a CSV file. Raises Failure for what cannot be read or is too little."""
    separator = ""
    try:
        if path.suffix == ".parquet":
            frame = pd.read_parquet(path)
        else:
            head = path.read_text(encoding="utf-8-sig")[:65536]
            separator = csv.Sniffer().sniff(head.splitlines()[0] if head else "", ",;\t|").delimiter
            frame = pd.read_csv(path, sep=separator, encoding="utf-8-sig", low_memory=False)
    except FileNotFoundError:
        raise Failure(f"{path} is not there") from None
    except (csv.Error, UnicodeDecodeError, ValueError, OSError) as error:
        cause = " ".join(str(error).split())[:150]
        raise Failure(f"{path} is neither CSV in UTF-8 with a line of names nor parquet: {cause}") from None
    if len(frame) < 100 or frame.shape[1] < 2:
        raise Failure(f"{path} has {len(frame)} rows and {frame.shape[1]} column(s); at least 100 and two are needed")
    return frame.rename(columns=str), separator


def identifiers(raws: list[str]) -> dict[str, str]:
    """A name in Python for each name in the file, no two alike."""
    names: dict[str, str] = {}
    for at, raw in enumerate(raws, 1):
        plain = unicodedata.normalize("NFKD", raw.casefold()).encode("ascii", "ignore").decode()
        name = re.sub(r"\W+", "_", plain).strip("_") or f"column_{at}"
        name = f"n_{name}" if name[0].isdigit() else name
        name = f"{name}_" if keyword.iskeyword(name) or name in TAKEN else name
        while name in names.values():
            name += "_2"
        names[raw] = name
    return names


def moments(values: pd.Series, how: str) -> pd.Series:
    """Naive and in UTC, microseconds; NaT for what is no time. `how`: a format, or "" for what is a time already."""
    parsed = pd.to_datetime(values, utc=True, errors="coerce", format=how or None)
    return parsed.dt.tz_localize(None).dt.as_unit("us")


def text(values: pd.Series) -> pd.Series:
    """Values as words: 3.0 and 3 are the same, and so are True and "True"; what is missing stays missing."""
    if pd.api.types.is_float_dtype(values) and bool((values.dropna() % 1 == 0).all()):
        values = values.astype("Int64")
    return values.astype("str").where(values.notna())
