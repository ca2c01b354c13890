"""The structs of reports/metrics.json: what `evaluate` measures of one model."""

from typing import Annotated

from msgspec import Meta, Struct

from delivery.core.bounds import ROWS, Count, Name, Number


class Interval(Struct, frozen=True):
    """The ends of a confidence interval."""

    low: Number
    high: Number


class Metric(Struct, frozen=True):
    """The value of one metric with its interval."""

    value: Number
    low: Number
    high: Number


class SegmentScore(Struct, frozen=True):
    """The primary metric on the rows of one segment, named `column=value`."""

    segment: Name
    rows: Count
    value: Number
    low: Number
    high: Number


class CalibrationBin(Struct, frozen=True):
    """Mean prediction and mean label of the rows in one bin; bins are bounded by quantiles of the prediction."""

    rows: Count
    predicted: Number
    observed: Number


class Calibration(Struct, frozen=True):
    """The mean residual over all rows, and the bins."""

    gap: Number
    bins: Annotated[tuple[CalibrationBin, ...], Meta(max_length=ROWS)] = ()


class Importance(Struct, frozen=True):
    """Rise of the primary loss when one feature is shuffled: mean and standard deviation over repeats."""

    feature: Name
    mean: Number
    sd: Number


class Problem(Struct, frozen=True):
    """What is predicted from which rows: models that differ in it cannot be compared."""

    label: Annotated[tuple[Name, ...], Meta(max_length=ROWS)]
    classes: Annotated[tuple[Name, ...], Meta(max_length=ROWS)]
    key: Annotated[tuple[Name, ...], Meta(max_length=ROWS)]


class Evaluation(Struct, frozen=True):
    """Everything measured of one model on its test rows; `level` is the mean label, or the share of each class."""

    rows: Count
    blocks: Count
    periods: Annotated[tuple[Name, ...], Meta(max_length=ROWS)]
    problem: Problem
    level: Annotated[tuple[Number, ...], Meta(max_length=ROWS)]
    metrics: Annotated[dict[Name, Metric], Meta(max_length=ROWS)]
    calibration: Calibration
    segments: Annotated[tuple[SegmentScore, ...], Meta(max_length=ROWS)]
    importance: Annotated[tuple[Importance, ...], Meta(max_length=ROWS)] = ()
