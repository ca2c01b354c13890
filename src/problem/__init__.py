"""The problem: a fork replaces these five modules. `delivery` uses only the names in `__all__`.

Import heavy libraries inside functions only, because the service imports this package too.
"""

from problem.features import FEATURES, known, row, table
from problem.metrics import HIGHER_IS_BETTER, PRIMARY, losses, score
from problem.model import Train, build, predict
from problem.schema import (
    BLOCK,
    CATEGORIES,
    CLASSES,
    KEY,
    LABEL,
    PERIOD,
    SEASONAL,
    SEGMENTS,
    TABLES,
    TIME,
    Request,
)
from problem.source import fetch, periods

__all__ = [
    "BLOCK",
    "CATEGORIES",
    "CLASSES",
    "FEATURES",
    "HIGHER_IS_BETTER",
    "KEY",
    "LABEL",
    "PERIOD",
    "PRIMARY",
    "SEASONAL",
    "SEGMENTS",
    "TABLES",
    "TIME",
    "Request",
    "Train",
    "build",
    "fetch",
    "known",
    "losses",
    "periods",
    "predict",
    "row",
    "score",
    "table",
]
