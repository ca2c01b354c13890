"""schema.py of a problem: the raw rows, the request, and what each column means."""

import json
import math

import pandas as pd

from delivery.fork.new.columns import FEW, Column, Found
from delivery.fork.new.rows import moments, text
from delivery.fork.new.split import UNITS, Proposal


def quoted(value: str) -> str:
    """As a Python literal with the formatter's quotes."""
    return json.dumps(value, ensure_ascii=False)


def plain(words: str) -> str:
    """What comes from the file as a comment or a docstring: one line that ends nothing."""
    return " ".join(words.replace("\\", "/").replace('"', "'").split())


def pieces(found: Found, plan: Proposal) -> dict[str, str]:
    """What the template leaves open."""
    time, target = found.one("time"), found.of("target")[0]
    when = time.name if time else "when"
    out = [f"#   {plain(column.raw)}: {plain(column.why)}" for column in found.of("out")]
    return {
        "few": str(FEW),
        "out": "\n".join(["#", "# Left out of the file:", *out, ""]) if out else "",
        "label": plain(target.raw),
        "request": "\n".join(_request(found, plan, when)),
        "row": "\n".join(_row(found, when)),
        "meanings": "\n".join(_meanings(found, plan, when)),
    }


def _request(found: Found, plan: Proposal, when: str) -> list[str]:
    """The lines of the request's struct: what has a default comes last."""
    frame, time = found.frame, found.one("time")
    features = sorted(found.of("number", "category"), key=lambda column: bool(frame[column.raw].isna().any()))
    lines = [_field(column, frame, example=True) for column in features]
    if plan.calendar:
        newest = moments(frame[time.raw], found.time_format).dropna().max() if time else None
        meta = f'Meta(tz=False, description="UTC", examples=["{newest:%Y-%m-%dT%H:%M:%S}"])'
        lines.insert(0, f"    {when}: Annotated[datetime, {meta}]")
    return lines


def _row(found: Found, when: str) -> list[str]:
    """The lines of the raw row's struct."""
    frame, key, target = found.frame, found.one("key"), found.of("target")[0]
    words = key and pd.api.types.is_string_dtype(frame[key.raw])
    return [
        f"    {key.name if key else 'row'}: {'str' if words else 'int'}",
        f"    {when}: Annotated[datetime, Meta(tz=False)]",
        *(_field(column, frame, example=False) for column in found.of("number", "category")),
        f"    {target.name}: {_label(found)} | None  # {plain(target.why)}; missing until it is known",
    ]


def _meanings(found: Found, plan: Proposal, when: str) -> list[str]:
    """What each column means, a constant a line with its reason."""
    time, key, target = found.one("time"), found.one("key"), found.of("target")[0]
    categories = [column.name for column in found.of("category")]
    return [
        f"KEY = ({quoted(key.name if key else 'row')},)  # {key.why if key else 'the place in the file: no column names a row'}",
        f'TABLES = {{"rows": Table(Row, KEY, periodic=True, day=({quoted(when)},), back=0)}}',
        f"LABEL = {quoted(target.name)}",
        f"CLASSES: tuple[str, ...] = {_tuple(found.classes)}  # {_classes(found)}",
        f"BLOCK = {quoted(plan.block if plan.block != 'row' or not key else key.name)}  # {_block(plan)}",
        f"TIME = {quoted(when)}  # {plain(time.why) if time else 'made up in source.py: the file has no times'}",
        'PERIOD = "period"',
        f"PERIODS = {quoted(UNITS[plan.unit][0])}  # {plan.unit}s: the file has {len(plan.periods)}",
        f"SEGMENTS: tuple[str, ...] = {_tuple(plan.segments)}  # {_segments(plan)}",
        f"CATEGORIES: tuple[str, ...] = {_tuple(categories)}  # words; the other features are numbers",
        f"CALENDAR: tuple[str, ...] = {_tuple(plan.calendar)}  # {_calendar(plan, found)}",
        "SEASONAL = CALENDAR  # move with the calendar by nature: their drift is evidence, never an alarm",
    ]


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
