"""The five modules and params.yaml of a problem as text, each choice with its reason beside it."""

import json
import math
import re
from pathlib import Path
from string import Template

import pandas as pd

from delivery.new.look import FEW, Column, Found, moments, text
from delivery.new.propose import UNITS, Proposal, rounded
from delivery.params import PARAMS

TEMPLATES = Path(__file__).parent / "templates"
QUESTIONS = {
    "regression": "Which {target} does a row have? Made from {file}.",
    "binary": "Is {target} {classes[1]}? Made from {file}.",
    "multiclass": "Which {target} is it: {listed}? Made from {file}.",
}
GAPS = {
    "regression": "|mean prediction - mean label| on the test rows: a quarter of the label's standard deviation",
    "binary": "|mean prediction - base rate| on the test rows",
    "multiclass": "of the class that is furthest off, on the test rows",
}


def files(found: Found, plan: Proposal, file: str) -> dict[str, str]:
    """Name in the problem's folder to content."""
    return {
        "source.py": source(found, plan, file),
        "schema.py": schema(found, plan),
        "features.py": _template("features.py"),
        "model.py": _template(f"model_{found.task}.py"),
        "metrics.py": _template(f"metrics_{found.task}.py"),
        "params.yaml": params(found, plan, file),
    }


def _template(name: str) -> str:
    return (TEMPLATES / f"{name}.txt").read_text(encoding="utf-8")


def quoted(value: str) -> str:
    """As a Python literal with the formatter's quotes."""
    return json.dumps(value, ensure_ascii=False)


def question(found: Found, file: str) -> str:
    listed = ", ".join(found.classes)
    target = found.of("target")[0].raw
    words = QUESTIONS[found.task].format(target=target, file=file, classes=found.classes, listed=listed)
    return words.replace("\\", "/").replace('"', "'").replace("$", "")


def source(found: Found, plan: Proposal, file: str) -> str:
    time, key = found.one("time"), found.one("key")
    settings = [f"SEPARATOR = {quoted(found.separator)}"] if found.separator else []
    times = []
    if not key:
        times.append('    frame["row"] = range(len(frame))  # its place in the file: add new rows at the end')
    if time:
        how = f", format={quoted(found.time_format)}" if found.time_format else ""
        if found.time_format:
            settings.append(f"FORMAT = {quoted(found.time_format)}  # of the time; in UTC where the file says no zone")
            how = ", format=FORMAT"
        times.append(f'    when = pd.to_datetime(frame[TIME], utc=True, errors="coerce"{how})')
        times.append('    frame[TIME] = when.dt.tz_localize(None).dt.as_unit("us")')
    else:
        settings.append('FIRST = "2000-01-03"  # the file has no times: its order is taken for them, a day for')
        settings.append(f"A_DAY = {plan.per_day}  # rows")
        times.append('    days = pd.to_timedelta([place // A_DAY for place in range(len(frame))], unit="D")')
        times.append('    frame[TIME] = (pd.Timestamp(FIRST) + days).as_unit("us")')
    read = "pd.read_parquet(FILE)"
    if found.separator:
        read = 'pd.read_csv(FILE, sep=SEPARATOR, encoding="utf-8-sig", low_memory=False)'
    used = found.of("key", "time", "number", "category", "target")
    return Template(_template("source.py")).substitute(
        question=question(found, file), file=file, settings="\n".join(settings), times="\n".join(times), read=read,
        columns="\n".join(f"    {quoted(column.raw)}: {quoted(column.name)}," for column in used),
    )  # fmt: skip


def schema(found: Found, plan: Proposal) -> str:
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
    raw.append(f"    {target.name}: {_label(found)} | None  # {target.why}; missing until it is known")
    out = [f"#   {column.raw}: {column.why}" for column in found.of("out")]
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
        f'    """What is known when {_plain(target.raw)} is asked for."""',
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
        "",
        "",
        f"KEY = ({quoted(key.name if key else 'row')},)  # {key.why if key else 'the place in the file: no column names a row'}",
        'TABLES = {"rows": Table(Row, KEY, periodic=True)}',
        f"LABEL = {quoted(target.name)}",
        f"CLASSES: tuple[str, ...] = {_tuple(found.classes)}  # {_classes(found)}",
        f"BLOCK = {quoted(plan.block if plan.block != 'row' or not key else key.name)}  # {_block(plan)}",
        f"TIME = {quoted(when)}  # {time.why if time else 'made up in source.py: the file has no times'}",
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
    return f"    {column.name}: {kind}{end}" + ("" if example else f"  # {column.why}")


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


def _plain(word: str) -> str:
    return word.replace("\\", "/").replace('"', "'")


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


def params(found: Found, plan: Proposal, file: str) -> str:
    target = found.of("target")[0]
    floors = [
        f"    {name}: {value!r}{' ' * max(1, 12 - len(name))}# {told}" for name, (value, told) in plan.floors.items()
    ]
    later = len([period for period in plan.periods if period > plan.until])
    margin = rounded(plan.guess / 100)
    blocks = max(2, plan.blocks // plan.test_periods // 2)
    values = {
        "until": plan.until, "unit": plan.unit, "test_periods": plan.test_periods, "block": plan.block,
        "why_until": f"{later} later one(s) arrive as the future" if later else "there is no later one yet",
        "test_rows": f"{plan.test_rows:,}", "train_rows": f"{plan.train_rows:,}",
        "max_leaf_nodes": 31 if plan.train_rows > 5000 else 7,
        "segment_rows": max(20, plan.test_rows // 50), "floors": "\n".join(floors),
        "margin": f"{margin:.6f}".rstrip("0"), "min_gain": f"{margin / 2:.7f}".rstrip("0"),
        "gap": f"{plan.gap:.6g}", "why_gap": GAPS[found.task],
        "intended": json.dumps(f"To be written: who asks for {target.raw}, when, and what is done with the answer.", ensure_ascii=False),
        "limits": json.dumps(f"{len(found.frame):,} rows of {file}; not looked at by anybody yet.", ensure_ascii=False),
        "licence": json.dumps(f"To be written: of the code, and of {file}.", ensure_ascii=False),
        "min_rows": max(1, plan.a_period // 2), "min_days": min(14, blocks),
        "periods_per_year": UNITS[plan.unit][1],
    }  # fmt: skip
    return merged(Template(_template("params.yaml")).substitute(values), PARAMS.read_text(encoding="utf-8"))


def merged(own: str, there: str) -> str:
    """The sections that a problem decides, and all others as they are in the present params.yaml, in its order."""
    (head, mine), (_, present) = sections(own), sections(there)
    return head + "\n".join(mine.get(name, block).rstrip() + "\n" for name, block in present.items())


def sections(text: str) -> tuple[str, dict[str, str]]:
    """What stands before the first section, and the text of each by its name."""
    head, *blocks = re.split(r"(?m)^(?=\w+:)", text)
    return head, {block.partition(":")[0]: block for block in blocks}
