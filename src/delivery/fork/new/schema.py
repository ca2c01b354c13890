"""Write schema.py of a problem: the raw rows, the request, and what each column means."""

import json
import math
from collections.abc import Callable, Iterable

import pandas as pd

from delivery.fork.new.columns import FEW, Column, Found
from delivery.fork.new.rows import moments, text
from delivery.fork.new.split import UNITS, Proposal


def quoted(value: str) -> str:
    """Return a text as a Python literal, with the formatter's quotes."""
    return json.dumps(value, ensure_ascii=False)


def inert(words: str) -> str:
    """Return text from the file for a comment or a docstring: one line that cannot end it."""
    return " ".join(words.replace("\\", "/").replace('"', "'").split())


def pieces(found: Found, plan: Proposal) -> dict[str, str]:
    """Return what fills the template."""
    time, target = found.one("time"), found.of("target")[0]
    when = time.name if time else "when"
    out = [f"#   {inert(column.raw)}: {inert(column.why)}" for column in found.of("out")]
    return {
        "few": str(FEW),
        "out": "\n".join(["#", "# Left out of the file:", *out, ""]) if out else "",
        "label": inert(target.raw),
        "request": "\n".join(_request(found, plan, when)),
        "row": "\n".join(_row(found, when)),
        "meanings": "\n".join(_meanings(found, plan, when)),
    }


def _request(found: Found, plan: Proposal, when: str) -> list[str]:
    """Return the lines of the request's struct; fields with a default come last."""
    frame, time = found.frame, found.one("time")
    features = sorted(found.of("number", "category"), key=lambda column: bool(frame[column.raw].isna().any()))
    lines = [_field(column, frame, example=True) for column in features]
    if plan.calendar:
        newest = moments(frame[time.raw], found.time_format).dropna().max() if time else None
        meta = f'Meta(tz=False, description="UTC", examples=["{newest:%Y-%m-%dT%H:%M:%S}"])'
        lines.insert(0, f"    {when}: Annotated[datetime, {meta}]")
    return lines


def _row(found: Found, when: str) -> list[str]:
    """Return the lines of the raw row's struct."""
    frame, key, target = found.frame, found.one("key"), found.of("target")[0]
    words = key and pd.api.types.is_string_dtype(frame[key.raw])
    return [
        f"    {key.name if key else 'row'}: {'str' if words else 'int'}",
        f"    {when}: Annotated[datetime, Meta(tz=False)]",
        *(_field(column, frame, example=False) for column in found.of("number", "category")),
        f"    {target.name}: {_label(found)} | None  # {inert(target.why)}; missing until it is known",
    ]


def _meanings(found: Found, plan: Proposal, when: str) -> list[str]:
    """Return what each column means: one constant per line, with its reason."""
    time, key, target = found.one("time"), found.one("key"), found.of("target")[0]
    categories = [column.name for column in found.of("category")]
    return [
        f"KEY = ({quoted(key.name if key else 'row')},)  # {key.why if key else 'the position in the file: no column identifies a row'}",
        f'TABLES = {{"rows": Table(Row, KEY, periodic=True, day=({quoted(when)},), back=0)}}',
        f"LABEL = {quoted(target.name)}",
        f"CLASSES: tuple[str, ...] = {_tuple(found.classes)}  # {_classes(found)}",
        f"BLOCK = {quoted(plan.block if plan.block != 'row' or not key else key.name)}  # {_block(plan)}",
        f"TIME = {quoted(when)}  # {inert(time.why) if time else 'made up in source.py: the file has no times'}",
        'PERIOD = "period"',
        f"PERIODS = {quoted(UNITS[plan.unit][0])}  # {plan.unit}s: the file has {len(plan.periods)}",
        f"SEGMENTS: tuple[str, ...] = {_tuple(plan.segments)}  # {_segments(plan)}",
        f"CATEGORIES: tuple[str, ...] = {_tuple(categories)}  # texts; the other features are numbers",
        f"CALENDAR: tuple[str, ...] = {_tuple(plan.calendar)}  # {_calendar(plan, found)}",
        "SEASONAL = CALENDAR  # move with the calendar anyway: their drift is evidence, never an alarm",
    ]


def _field(column: Column, frame: pd.DataFrame, *, example: bool) -> str:
    """Return one line of a struct. A column that is never missing in the file may not be missing in a request."""
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
    return f"    {column.name}: {kind}{end}" + ("" if example else f"  # {inert(column.why)}")


def bounds(values: pd.Series) -> tuple[float, float]:
    """Return the range of the file, as wide again on each side.

    Values that were never negative stay so, and a column of 0 and 1 keeps these.
    """
    values = values[values.abs() < math.inf]
    low, high = float(values.min()), float(values.max())
    if set(values.unique()) == {0.0, 1.0}:
        return 0.0, 1.0
    spread = high - low
    return (0.0 if low >= 0 else _outward(low - spread, math.floor), _outward(high + spread, math.ceil))


def _outward(value: float, way: Callable[[float], int]) -> float:
    """Return a number with two significant digits, rounded by `way`: math.floor or math.ceil."""
    if not value:
        return 0.0
    step = 10.0 ** (math.floor(math.log10(abs(value))) - 1)
    return float(f"{way(value / step) * step:.6g}")


def _label(found: Found) -> str:
    if found.task == "regression":
        return "float"
    return f"Literal[{', '.join(map(quoted, found.classes))}]"


def _tuple(names: Iterable[str]) -> str:
    literals = list(map(quoted, names))
    return f"({', '.join(literals)}{',' if len(literals) == 1 else ''})"


def _classes(found: Found) -> str:
    return {
        "regression": "none: a number is predicted",
        "binary": "two: the probability of the second is predicted",
        "multiclass": "more than two: one probability for each",
    }[found.task]


def _block(plan: Proposal) -> str:
    if plan.block == "row":
        return f"each of the {plan.blocks} test rows by itself: they span fewer than ten hours"
    return f"rows of one {plan.block} are correlated and resampled together; the test has {plan.blocks}"


def _segments(plan: Proposal) -> str:
    return (
        "no value of these may become clearly worse"
        if plan.segments
        else "no category has few values, each with enough rows"
    )


def _calendar(plan: Proposal, found: Found) -> str:
    if plan.calendar:
        return "parts of the time of which training has seen enough"
    return "training has seen too little of every part of the time" if found.one("time") else "the times are made up"
