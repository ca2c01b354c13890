"""Write the five modules and params.yaml of a problem as text, each choice with its reason."""

import json
import re
from pathlib import Path
from string import Template

from delivery.core.params import UNWRITTEN, effective, read, tree
from delivery.fork.new import schema
from delivery.fork.new.columns import Found
from delivery.fork.new.schema import inert, quoted
from delivery.fork.new.split import UNITS, Proposal, rounded

TEMPLATES = Path(__file__).parent / "templates"
QUESTIONS = {
    "regression": "Which {target} does a row have? Made from {file}.",
    "binary": "Is {target} {classes[1]}? Made from {file}.",
    "multiclass": "Which {target} is it: {listed}? Made from {file}.",
}
STAGES = ("validate", "export", "evaluate")  # sections of stages in which a problem need not decide anything
EMPTY = "# Defaults only: DVC needs the section of every stage."
GAPS = {
    "regression": "|mean prediction - mean label| on the test rows: a quarter of the label's standard deviation",
    "binary": "|mean prediction - base rate| on the test rows",
    "multiclass": "largest gap of any class on the test rows",
}


def files(found: Found, plan: Proposal, file: str) -> dict[str, str]:
    """Return the name and the content of each file of the problem's folder."""
    return {
        "source.py": source(found, plan, file),
        "schema.py": Template(_template("schema.py")).substitute(schema.pieces(found, plan)),
        "features.py": _template("features.py"),
        "model.py": _template(f"model_{found.task}.py"),
        "metrics.py": _template(f"metrics_{found.task}.py"),
        "params.yaml": params(found, plan, file),
    }


def _template(name: str) -> str:
    return (TEMPLATES / f"{name}.txt").read_text(encoding="utf-8")


def question(found: Found, file: str) -> str:
    """Return what the model answers, in a sentence."""
    listed = ", ".join(found.classes)
    target = found.of("target")[0].raw
    words = QUESTIONS[found.task].format(target=target, file=file, classes=found.classes, listed=listed)
    return inert(words)


def source(found: Found, plan: Proposal, file: str) -> str:
    """Return source.py."""
    time, key = found.one("time"), found.one("key")
    settings = [f"READING = {json.dumps(found.reading)}"] if found.reading else []
    times = []
    if not key:
        times.append('    frame["row"] = range(len(frame))  # its position in the file: add new rows at the end')
    if time:
        how = f", format={quoted(found.time_format)}" if found.time_format else ""
        if found.time_format:
            settings.append(f"FORMAT = {quoted(found.time_format)}  # of the time; UTC if the file has no zone")
            how = ", format=FORMAT"
        times.append(f'    when = pd.to_datetime(frame[TIME], utc=True, errors="coerce"{how})')
        times.append('    frame[TIME] = when.dt.tz_localize(None).dt.as_unit("us")')
    else:
        settings.append('FIRST = "2000-01-03"  # the file has no times: its order stands for them, one day per')
        settings.append(f"A_DAY = {plan.per_day}  # rows")
        times.append('    days = pd.to_timedelta([place // A_DAY for place in range(len(frame))], unit="D")')
        times.append('    frame[TIME] = (pd.Timestamp(FIRST) + days).as_unit("us")')
    read = "pd.read_parquet(FILE)"
    if found.reading:
        read = 'pd.read_csv(FILE, **READING, encoding="utf-8-sig", low_memory=False)'
    used = found.of("key", "time", "number", "category", "target")
    return Template(_template("source.py")).substitute(
        question=question(found, file), file=quoted(file), settings="\n".join(settings), times="\n".join(times), read=read,
        columns="\n".join(f"    {quoted(column.raw)}: {quoted(column.name)}," for column in used),
    )  # fmt: skip


def params(found: Found, plan: Proposal, file: str) -> str:
    """Return params.yaml: what the problem decides, and what the present file sets besides."""
    target = found.of("target")[0]
    floors = [
        f"    {name}: {value!r}{' ' * max(1, 12 - len(name))}# {inert(reason)}"
        for name, (value, reason) in plan.floors.items()
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
        "intended": _unwritten(f"who requests {target.raw}, when, and what is done with the prediction."),
        "limits": _unwritten(f"what it must not be used for. It was made from {len(found.frame):,} rows of {file}."),
        "licence": _unwritten(f"of the code, and of {file}."),
        "min_rows": max(1, plan.a_period // 2), "min_days": min(14, blocks),
        "periods_per_year": UNITS[plan.unit][1], "label_days": plan.label_days,
        "rows_late": plan.late_after, "labels_late": plan.late_after and plan.late_after + plan.label_days,
        "why_late": "twice a period and a day; older newest rows turn drift and doctor red" if plan.late_after
        else "0: the file's newest row is old already, so nothing is late. Set both when rows arrive",
    }  # fmt: skip
    return merged(Template(_template("params.yaml")).substitute(values), read())


def _unwritten(what: str) -> str:
    return json.dumps(f"{UNWRITTEN}: {what}", ensure_ascii=False)


def merged(own: str, present: str) -> str:
    """Return the sections that a problem decides, and those that the present params.yaml sets to other values than the defaults.

    So a team keeps its environments and branches when it replaces the sample problem.
    """
    head, mine = sections(own)
    given, defaults = effective(tree(present)), effective({})
    kept = {
        name: re.sub(r"(\n#.*|\s)+\Z", "\n", block)  # a comment in the first column is about the next section
        for name, block in sections(present)[1].items()
        if name not in mine and given[name] != defaults.get(name)
    }
    blocks = [block.rstrip() + "\n" for block in (*mine.values(), *kept.values())]
    empty = [f"{name}: {{}}\n" for name in STAGES if name not in mine | kept]
    return head + "\n".join(blocks) + f"\n{EMPTY}\n" + "".join(empty)


def sections(text: str) -> tuple[str, dict[str, str]]:
    """Return the text before the first section, and the text of each section by its name."""
    head, *blocks = re.split(r"(?m)^(?=\w+:)", text)
    return head, {block.partition(":")[0]: block for block in blocks}
