"""Define the JSON files of a drift check and a backtest. JSON keys are those of earlier versions."""

import json
from typing import Any, Literal

import msgspec
from msgspec import Struct, field

from delivery.core import files
from delivery.data.freshness import Arrivals
from delivery.drift.findings import Age, Findings, Realised, Revision, ServedFacts, Serving
from delivery.drift.verdicts import Judgement, LogEntry, PooledGain
from delivery.stats.shift import ShiftRow
from delivery.stats.verdicts import Comparison

Verdict = Literal["retrain", "hold", "no", "wait", "skip", "failed", "superseded"]


class Decision(Struct, frozen=True):
    """The part of a check that later verbs read."""

    period: str = field(name="month")
    verdict: Verdict
    retrain: bool
    withdraw: bool
    why: str


class DriftResult(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One check of a period; without a challenger `comparison` and `judged` are None."""

    period: str = field(name="month")
    rows: int
    champion: str
    champion_trained_on: tuple[str, ...]
    found: Findings
    evidence: tuple[ShiftRow, ...]
    age: Age
    revisions: tuple[Revision, ...]
    history: tuple[LogEntry, ...]
    comparison: Comparison | None
    judged: Judgement | None
    windows: tuple[str, ...]
    batch: Realised | None = None
    served: ServedFacts | None = None
    calibration_gap: float | None = None
    gains: tuple[PooledGain, ...] = ()
    verdict: Verdict
    why: str
    streak: int
    retrain: bool
    withdraw: bool
    seconds: float
    serving: Serving = Serving()
    arrived: Arrivals = Arrivals()
    data: str = ""
    """Digest of the labelled rows that the champion has not learnt from, until the period."""


class ReplayedPeriod(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a check at the end of the period would have decided, and the losses of the models that served in it.

    `next` is what the period's challenger gains in the next one, None for the last.
    """

    period: str = field(name="month")
    champion_until: str
    never: float
    policy: float
    always: float
    rows: int
    streak: int = 0
    retrain: bool
    withdraw: bool
    verdict: Verdict
    why: str
    gain: PooledGain | None
    pooled: PooledGain | None = None
    next: float | None


class Backtest(Struct, frozen=True, kw_only=True):
    """The replay of one mode; gains are per row over all periods, against never retraining."""

    mode: str
    periods: tuple[ReplayedPeriod, ...] = field(name="months")
    opened: tuple[str, ...]
    runs: int
    runs_always: int
    gain: float
    gain_always: float
    share: float | None
    seconds: float


def as_document(result: DriftResult | Decision) -> dict[str, Any]:
    """Return the content of drift.json, in the order in which `drift --json` prints it."""
    content: dict[str, Any] = msgspec.to_builtins(result)
    if isinstance(result, DriftResult) and result.judged is None:
        for name in ("streak", "verdict", "why", "seconds"):  # the order of a check that trained no challenger
            content[name] = content.pop(name)
    return content


def as_text(result: DriftResult) -> str:
    """Return what `drift --json` prints: rounded as in the file, unsorted."""
    return json.dumps(files.rounded(as_document(result)), indent=1)
