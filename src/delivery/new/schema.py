"""schema.py of a problem: the raw rows, the request, and what each column means."""

import json
import math

import pandas as pd

from delivery.new.look import FEW, Column, Found
from delivery.new.propose import UNITS, Proposal
from delivery.new.rows import moments, text


def quoted(value: str) -> str:
    """As a Python literal with the formatter's quotes."""
    return json.dumps(value, ensure_ascii=False)


def plain(words: str) -> str:
    """What comes from the file as a comment or a docstring: one line that ends nothing."""
    return " ".join(words.replace("\\", "/").replace('"', "'").split())


def text_of(found: Found, plan: Proposal) -> str:
    time, key, target = found.one("time"), found.one("key"), found.of("target")[0]
    when = time.name if time else "when"
    features = found.of("number", "category")
    request = [_field(column, found.frame, example=True) for column in _required_first(features, found.frame)]
    if plan.calendar:
        first = moments(found.frame[time.raw], found.time_format).dropna().max() if time else None
        meta = f'Meta(tz=False, description="UTC", examples=["{first:%Y-%m-%dT%H:%M:%S}"])'
        request.insert(0, f"    {when}: Annotated[datetime, {meta}]")
    raw = [_field(column, found.frame, example=False) for column in features]
    words = key and pd.api.types.is_string_dtype(found.frame[key.raw])
    raw.insert(0, f"    {key.name if key else 'row'}: {'str' if words else 'int'}")
    raw.insert(1, f"    {when}: Annotated[datetime, Meta(tz=False)]")
    raw.append(f"    {target.name}: {_label(found)} | None  # {plain(target.why)}; missing until it is known")
    out = [f"#   {plain(column.raw)}: {plain(column.why)}" for column in found.of("out")]
    names = [column.name for column in found.of("category")]
    lines = [
        '"""The data: the raw table, the request row that the service takes, and what each column means."""',
        "",
        "from datetime import datetime",
        "from typing import Annotated, Literal, NamedTuple",
        "",
        "from msgspec import Meta, Struct",
        "",
        "# A number may lie beyond what the file has by as much as it spreads there; a category of more than",
        f"# {FEW} values may be any short text, and one that training never saw counts as missing.",
        *(["#", "# Left out of the file:", *out] if out else []),
        "",
        "",
        "class Request(Struct, forbid_unknown_fields=True):",
        f'    """What is known when {plain(target.raw)} is asked for."""',
        "",
        *request,
        "",
        "",
        "class Row(Struct, forbid_unknown_fields=True):",
        *raw,
        "",
        "",
        "class Table(NamedTuple):",
        "    row: type[Struct]",
        "    key: tuple[str, ...]  # no two rows share it",
        "    periodic: bool  # one file per period, or one file for all",
        "    day: tuple[str, ...] = ()  # the columns that say a row's day, by which a part can be read; none: only whole",
        "    back: int | None = None  # so many days before its own an example looks at; None: all of them",
        "",
        "",
        f"KEY = ({quoted(key.name if key else 'row')},)  # {key.why if key else 'the place in the file: no column names a row'}",
        f'TABLES = {{"rows": Table(Row, KEY, periodic=True, day=({quoted(when)},), back=0)}}',
        f"LABEL = {quoted(target.name)}",
        f"CLASSES: tuple[str, ...] = {_tuple(found.classes)}  # {_classes(found)}",
        f"BLOCK = {quoted(plan.block if plan.block != 'row' or not key else key.name)}  # {_block(plan)}",
        f"TIME = {quoted(when)}  # {plain(time.why) if time else 'made up in source.py: the file has no times'}",
        'PERIOD = "period"',
        f"PERIODS = {quoted(UNITS[plan.unit][0])}  # {plan.unit}s: the file has {len(plan.periods)}",
        f"SEGMENTS: tuple[str, ...] = {_tuple(plan.segments)}  # {_segments(plan)}",
        f"CATEGORIES: tuple[str, ...] = {_tuple(names)}  # words; the other features are numbers",
        f"CALENDAR: tuple[str, ...] = {_tuple(plan.calendar)}  # {_calendar(plan, found)}",
        "SEASONAL = CALENDAR  # move with the calendar by nature: their drift is evidence, never an alarm",
        "",
    ]
    return "\n".join(lines)


def _required_first(columns: list[Column], frame: pd.DataFrame) -> list[Column]:
    return sorted(columns, key=lambda column: bool(frame[column.raw].isna().any()))


def _field(column: Column, frame: pd.DataFrame, *, example: bool) -> str:
    """One line of a struct. What is never missing in the file may not be missing in a request."""
    values = frame[column.raw].dropna()
    meta = []
    if column.role == "number":
        kind, (low, high) = "float", bounds(values.astype(float))
        meta += [f"ge={low!r}", f"le={high!r}"]
        shown = repr(float(values.iloc[-1]))
    else:
        words = sorted(text(values).unique())
        few = len(words) <= FEW
        kind = f"Literal[{', '.join(map(quoted, words))}]" if few else "str"
        meta += [] if few else [f"max_length={2 * max(map(len, words))}"]
        shown = quoted(text(values).iloc[-1])
    if example:
        meta += [f"description={quoted(column.raw)}", f"examples=[{shown}]"]
    optional = bool(frame[column.raw].isna().any())
    if meta:
        kind = f"Annotated[{kind}, Meta({', '.join(meta)})]"
    end = (" | None = None" if example else " | None") if optional else ""
    return f"    {column.name}: {kind}{end}" + ("" if example else f"  # {plain(column.why)}")


def bounds(values: pd.Series) -> tuple[float, float]:
    """What the file has, and as wide again on each side; nothing negative where there was none, and yes or no stays so."""
    values = values[values.abs() < math.inf]
    low, high = float(values.min()), float(values.max())
    if set(values.unique()) == {0.0, 1.0}:
        return 0.0, 1.0
    spread = high - low
    return (0.0 if low >= 0 else _outward(low - spread, math.floor), _outward(high + spread, math.ceil))


def _outward(value: float, way) -> float:
    """Two digits that mean something, away from zero or towards it as `way` says."""
    if not value:
        return 0.0
    step = 10.0 ** (math.floor(math.log10(abs(value))) - 1)
    return float(f"{way(value / step) * step:.6g}")


def _label(found: Found) -> str:
    if found.task == "regression":
        return "float"
    return f"Literal[{', '.join(map(quoted, found.classes))}]"


def _tuple(names) -> str:
    names = list(map(quoted, names))
    return f"({', '.join(names)}{',' if len(names) == 1 else ''})"


def _classes(found: Found) -> str:
    return {
        "regression": "none: a number is predicted",
        "binary": "two: the probability of the second is predicted",
        "multiclass": "more than two: one probability for each",
    }[found.task]


def _block(plan: Proposal) -> str:
    if plan.block == "row":
        return f"each of the {plan.blocks} test rows for itself: they are of fewer than ten hours"
    return f"rows of one {plan.block} go well or badly together and are resampled together; the test has {plan.blocks}"


def _segments(plan: Proposal) -> str:
    return (
        "no value of these may get clearly worse"
        if plan.segments
        else "no category has few values, each with enough rows"
    )


def _calendar(plan: Proposal, found: Found) -> str:
    if plan.calendar:
        return "parts of the time that training has seen enough of"
    return "training has not seen enough of any part of the time" if found.one("time") else "the times are made up"
