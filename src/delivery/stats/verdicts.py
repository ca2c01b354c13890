"""The structs of reports/compare.json and reports/gate.json: what a comparison and the gate conclude."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from delivery.core.bounds import ROWS, Count, Name, Number, Text

Outcome = Literal["better", "worse", "within noise"]
Verdict = Literal["pass", "warn", "fail"]


class MetricRow(Struct, frozen=True):
    """One metric of both models; the difference and its interval are positive when the candidate is better."""

    metric: Name
    higher_is_better: bool
    champion: Number
    candidate: Number
    difference: Number
    low: Number
    high: Number
    verdict: Outcome


class SegmentRow(Struct, frozen=True):
    """The gain in the primary metric within one segment, with a one-sided p-value for "worse"."""

    segment: Name
    rows: Count
    blocks: Count
    difference: Number
    low: Number
    high: Number
    p_worse: Number
    judged: bool


class CalibrationGaps(Struct, frozen=True):
    """The mean residual of each model."""

    champion: Number
    candidate: Number


class Comparison(Struct, frozen=True):
    """A comparison of two models on the same rows, resampled by blocks."""

    rows: Count
    blocks: Count
    block: Name
    confidence: Number
    primary: Name
    metrics: Annotated[tuple[MetricRow, ...], Meta(max_length=ROWS)]
    segments: Annotated[tuple[SegmentRow, ...], Meta(max_length=ROWS)]
    calibration: CalibrationGaps

    def primary_row(self) -> MetricRow:
        """Return the row of the primary metric, wherever it stands in the table."""
        return next(row for row in self.metrics if row.metric == self.primary)


class ComparisonResult(Struct, frozen=True):
    """The comparison of the model with its baseline; without one `comparison` is None and `reason` states why."""

    against: Name | None
    commit: Name | None
    reason: Text
    comparison: Comparison | None


class Rule(Struct, frozen=True):
    """A rule of the gate, its verdict on the model, and one sentence with the numbers."""

    name: Name
    verdict: Verdict
    evidence: Text


class GateResult(Struct, frozen=True):
    """The worst verdict of all rules on the exported model with the digest `model`."""

    verdict: Verdict
    model: Name
    against: Name | None
    rules: Annotated[tuple[Rule, ...], Meta(max_length=ROWS)]
    latency_us: Number = 0.0  # median time of one prediction, in microseconds
    boundary: Text = ""  # why the model may break with the clients of what serves; empty if it does not
