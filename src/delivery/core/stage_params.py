"""Parameters of the pipeline's stages, with their defaults.

A module of its own, and in dvc.yaml a dependency of every stage that reads it: DVC compares the values in params.yaml
and cannot see the default of a key that the file leaves out. A changed default changes this file, so the stages run again.
Parameters that no stage reads are in `delivery.core.params`; changing one of those recomputes nothing.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

Share = Annotated[float, Meta(ge=0, le=1)]
Positive = Annotated[float, Meta(gt=0, le=1e9)]  # an infinite margin would be a rule switched off
Count = Annotated[int, Meta(ge=1)]
# A name from `problem.periods`; it also names files, folders and branches.
Period = Annotated[str, Meta(pattern=r"^[0-9A-Za-z][0-9A-Za-z_-]{0,31}$")]
Confidence = Annotated[float, Meta(gt=0.5, lt=1)]


class Fetch(Struct, frozen=True, forbid_unknown_fields=True):
    """Which data to download."""

    until: Period
    """Newest period in data/. Later periods count as the future, which drift detection sees arrive."""


class Validate(Struct, frozen=True, forbid_unknown_fields=True):
    """When raw data stop the pipeline or raise a warning."""

    missing_jump: Share = 0.20
    """Largest rise of a column's missing rate over the earlier periods; a larger one stops the pipeline."""
    psi_alarm: Positive = 0.25
    """Population stability index of a column above which validation warns, unless chance explains it. Seasonal columns never do."""


class Prepare(Struct, frozen=True, forbid_unknown_fields=True):
    """How rows are split into training and test."""

    test_periods: Count = 1
    """Number of newest periods that are held out as test rows; all earlier ones are for training."""


class Export(Struct, frozen=True, forbid_unknown_fields=True):
    """How the model is exported, and how exactly it must agree with scikit-learn."""

    runtime: Literal["onnx", "sklearn"] = "onnx"
    """What the service runs. `sklearn` serves models that ONNX cannot express: slower, same API."""
    tolerance: Positive = 0.000001
    """Largest difference between the exported model and scikit-learn on any test row: of a probability, or of a
    number in standard deviations of its label."""
    examples: Annotated[int, Meta(ge=5)] = 48  # four are the gaps
    """Number of known rows, with their predictions, that are stored with the model for the contract test."""


class Evaluate(Struct, frozen=True, forbid_unknown_fields=True):
    """How permutation importance is measured."""

    importance_rows: Count = 4000
    """Number of test rows on which permutation importance is measured."""
    importance_repeats: Count = 3
    """Number of permutations of each feature."""


class Compare(Struct, frozen=True, forbid_unknown_fields=True):
    """How intervals are computed, in the report and between two models."""

    resamples: Annotated[int, Meta(ge=100)] = 2000
    """Bootstrap resamples of whole blocks (days, in the sample) for losses, which are means over rows."""
    score_resamples: Annotated[int, Meta(ge=50)] = 200
    """Bootstrap resamples for metrics that are not means over rows, such as AUC."""
    confidence: Confidence = 0.95
    """Confidence level of every interval in the report."""
    seed: Annotated[int, Meta(ge=0)] = 20130101
    """Seed of the resampling. Any number will do; with the same one two people get the same intervals."""
    segment_rows: Count = 100
    """Number of test rows that a segment needs to be judged; smaller ones are reported only."""
