"""How often the scheduled workflows start, and how often new periods come.

A schedule that starts less often than periods come leaves predictions and drift decisions late, by up to one of its turns.
"""

import re
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import NamedTuple

from delivery.adapters import git
from delivery.core import files, params
from delivery.core.errors import Failure
from delivery.core.params import Drift, Params
from delivery.fork.settings import Finding

WORKFLOWS = Path(".github/workflows")
CRON = re.compile(r'(?m)^(\s*- cron: *)"([^"\n]*)"')
DAYS, HOURS = 365, 8760  # of a year
WEEKS = 52
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
RANGES = ((0, 59, ()), (0, 23, ()), (1, 31, ()), (1, 12, MONTHS), (0, 7, WEEKDAYS))
FIRST = date(2026, 1, 1)  # of a year with 365 days


class Schedule(NamedTuple):
    """When a workflow starts that works on periods, and when it should."""

    file: Path
    cron: str
    starts: int  # in a year
    fitting: str

    def slow(self, drift: Drift) -> bool:
        """Return whether it starts less often than periods come; for those of hours once a day is enough."""
        return self.starts < min(drift.periods_per_year, DAYS)


def schedules(drift: Drift) -> list[Schedule]:
    """Return the schedules of the workflows that score and judge periods.

    A workflow that is not there, or has no schedule, is left out. Raise `Failure` for a schedule that is not cron's.
    """
    found = []
    for file, late in (("batch.yml", 0), ("drift.yml", drift.label_days)):
        path = folder() / file
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        if crons := [match[2] for match in CRON.finditer(text)]:
            starts = sum(map(a_year, crons))
            found.append(Schedule(path, crons[0], starts, fitting(crons[0], drift.periods_per_year, late)))
    return found


def folder() -> Path:
    """Return the folder of the repository's workflows; that of a model may be below the repository's root."""
    return Path(git.git("rev-parse", "--show-cdup", check=False)) / WORKFLOWS


def examine() -> Finding:
    """Look for schedules that are slower than the periods come."""
    settings = params.load()
    try:
        found = [one for one in schedules(settings.drift) if one.slow(settings.drift)]
    except Failure as failure:
        return Finding("pace of the schedules", "unknown", str(failure), "five fields: minute hour day month weekday")
    if not found:
        return limits(schedules(settings.drift), settings)
    names = ", ".join(one.file.name for one in found)
    text = f"slower than the {settings.drift.periods_per_year} periods of a year come: {names}"
    fix = "; ".join(f'`- cron: "{one.fitting}"` in {WORKFLOWS / one.file.name}' for one in found)
    return Finding("pace of the schedules", "optional", text, f"{fix}; or correct drift.periods_per_year")


def limits(known: list[Schedule], settings: Params) -> Finding:
    """Look whether a run takes as many periods as come until the next one, as for hours with one run a day."""
    most = {"batch.yml": ("batch.max_periods", settings.batch.max_periods),
            "drift.yml": ("drift.max_judged", settings.drift.max_judged)}  # fmt: skip
    few = {}
    for one in known:
        name, number = most[one.file.name]
        wanted = -(-settings.drift.periods_per_year // one.starts)
        if number < wanted:
            few[name] = (number, wanted)
    if not few:
        return Finding("pace of the schedules", "ready", "as often as periods come")
    text = "; ".join(f"more periods come between two runs than {name} {number}" for name, (number, _) in few.items())
    fix = ", ".join(f"`{name}: {wanted}`" for name, (_, wanted) in few.items())
    return Finding("pace of the schedules", "optional", text, f"{fix} in params.yaml")


def settle(drift: Drift) -> list[str]:
    """Give slow workflows a schedule that fits the periods; return a line for each that was changed.

    One a week on another day than labels come on would judge each week a week later. One that is not cron's is left as it is:
    doctor names it.
    """
    lines: list[str] = []
    try:
        known = schedules(drift)
    except Failure:
        return lines
    weekly = len(MONTHS) < drift.periods_per_year <= WEEKS
    for one in known:
        late = weekly and one.starts == WEEKS and one.cron != one.fitting
        if not (one.slow(drift) or late):
            continue
        text = one.file.read_text(encoding="utf-8")
        files.write(one.file, CRON.sub(rf'\g<1>"{one.fitting}"', text, count=1))
        lines.append(f'{WORKFLOWS / one.file.name}: cron "{one.fitting}" in place of "{one.cron}"')
    return lines


def fitting(cron: str, periods: int, late: int) -> str:
    """Return a schedule at the same time of day for so many periods a year, whose labels come `late` days after their end.

    Weeks begin on Mondays, as ISO's do; all times are UTC.
    """
    minute, hour = cron.split()[:2]
    if periods > WEEKS:
        return f"{minute} {hour} * * *"
    return f"{minute} {hour} * * {(1 + late) % 7}" if periods > len(MONTHS) else f"{minute} {hour} {2 + late % 27} * *"


def a_year(cron: str) -> int:
    """Return how often a schedule starts in a year. Raise `Failure` if it is not cron's."""
    parts = cron.lower().split()
    try:
        minutes, hours, days, months, weekdays = (
            set(values(part, *limits)) for part, limits in zip(parts, RANGES, strict=True)
        )
    except ValueError:
        raise Failure(f"{cron!r} is no schedule") from None
    weekdays = {day % 7 for day in weekdays}
    either = not parts[2].startswith("*") and not parts[4].startswith("*")  # then one of the two is enough
    count = 0
    for day in (FIRST + timedelta(days=number) for number in range(DAYS)):
        fits = (day.day in days, day.isoweekday() % 7 in weekdays)
        count += day.month in months and (any(fits) if either else all(fits))
    return count * len(minutes) * len(hours)


def values(part: str, low: int, high: int, names: tuple[str, ...]) -> Iterator[int]:
    """Yield the numbers that a field names, such as `*/2`, `1-5`, `mon,thu`. Raise `ValueError` if it does not name any."""

    def number(text: str) -> int:
        value = names.index(text) + (low if names is MONTHS else 0) if text in names else int(text)
        if not low <= value <= high:
            raise ValueError(text)
        return value

    for piece in part.split(","):
        span, _, step = piece.partition("/")
        first, dash, last = span.partition("-")
        if span == "*":
            start, end = low, high
        else:
            start = number(first)
            end = number(last) if dash else (high if step else start)
        yield from range(start, end + 1, int(step or 1))
