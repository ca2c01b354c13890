"""Describe this repository's problem in the terms that pages show."""

from collections.abc import Sequence

from delivery.render.review import Terms
from delivery.stats import task
from problem import BLOCK, HIGHER_IS_BETTER, PRIMARY


def problem_terms(level: Sequence[float]) -> Terms:
    """Return the terms; `level` is the mean label, or the share of each class."""
    return Terms(PRIMARY, BLOCK, dict(HIGHER_IS_BETTER), f"{task.TASK.gap}; {task.worded(level)}")
