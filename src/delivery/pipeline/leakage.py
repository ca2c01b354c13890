"""Check for leakage: no feature may depend on data from after the time of its prediction."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np
import pandas as pd

from delivery.core.errors import Failure
from problem import FEATURES, KEY, TIME, known, table

MOMENTS = 12  # hours to check, spread over the data
Value = TypeVar("Value")


def refuse_leaks(raw: Mapping[str, pd.DataFrame], examples: pd.DataFrame) -> None:
    """Raise `Failure` if a feature changes once everything later than its prediction is hidden.

    For MOMENTS hours spread over the data, compute the features of the hour's examples again from the tables as
    they stood then (`problem.known`). A feature that differs depends on the future.
    """
    hours = np.sort(examples[TIME].dt.floor("h").unique())
    for moment in spread(pd.DatetimeIndex(hours).tolist(), MOMENTS):
        refuse_leak(raw, examples, moment)


def spread(values: Sequence[Value], number: int) -> list[Value]:
    """Return `number` of the values, evenly spaced; skip the first 5 %, where there is little to look back at."""
    return [values[position] for position in np.linspace(len(values) * 0.05, len(values) - 1, number).astype(int)]


def refuse_leak(raw: Mapping[str, pd.DataFrame], examples: pd.DataFrame, moment: pd.Timestamp) -> None:
    """Raise `Failure` if the examples of the hour that begins at `moment` have features that depend on later data."""
    then = table(known(raw, moment.to_pydatetime()))
    before, after = (rows[rows[TIME].dt.floor("h") == moment] for rows in (then, examples))
    before, after = (rows.set_index(list(KEY), drop=False) for rows in (before, after))
    if hidden := len(after.index.difference(before.index)):
        raise Failure(
            f"`known` at {moment} lacks {hidden} of the {len(after)} rows of the hour that begins then: it must keep "
            "these rows and hide only later data; fix it in src/problem/features.py"
        )
    leaked = differing(before, after)
    if leaked:
        raise Failure(
            f"feature {', '.join(leaked)} is not known at prediction time: for {len(after)} rows of {moment} it "
            "changes once later data are hidden; fix src/problem/features.py"
        )


def differing(before: pd.DataFrame, after: pd.DataFrame) -> list[str]:
    """Return the features whose values differ between the two; rows are matched by index."""
    before = before.reindex(after.index)
    return [name for name in FEATURES if not before[name].equals(after[name])]
