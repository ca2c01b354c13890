"""Leakage: no feature may know what comes after the moment at which the prediction is asked for."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from delivery.core.errors import Failure
from problem import FEATURES, KEY, TIME, known, table

MOMENTS = 12  # looked back from


def refuse_leaks(raw: Mapping[str, pd.DataFrame], examples: pd.DataFrame) -> None:
    """Raises Failure when a feature changes once everything later than its prediction is hidden.

    At moments spread over the data, the features of the hour's examples are computed again from
    the tables as they stood then (`problem.known`); what differs has seen the future.
    """
    hours = np.sort(examples[TIME].dt.floor("h").unique())
    for moment in pd.DatetimeIndex(spread(hours, MOMENTS)):
        refuse_leak(raw, examples, moment)


def spread(values: Sequence | np.ndarray, number: int) -> list:
    return [values[place] for place in np.linspace(len(values) * 0.05, len(values) - 1, number).astype(int)]


def refuse_leak(raw: Mapping[str, pd.DataFrame], examples: pd.DataFrame, moment: pd.Timestamp) -> None:
    then = table(known(raw, moment.to_pydatetime()))
    before, after = (rows[rows[TIME].dt.floor("h") == moment] for rows in (then, examples))
    before, after = (rows.set_index(list(KEY), drop=False) for rows in (before, after))
    if hidden := len(after.index.difference(before.index)):
        raise Failure(
            f"`known` of {moment} lacks {hidden} of {len(after)} rows asked for in the hour that begins then: they are "
            "there, only what comes later is not; mend it in src/problem/features.py"
        )
    leaked = differing(before, after)
    if leaked:
        raise Failure(
            f"feature {', '.join(leaked)} is not known at prediction time: for {len(after)} rows of {moment} it "
            "changes once later data are hidden; mend src/problem/features.py"
        )


def differing(before: pd.DataFrame, after: pd.DataFrame) -> list[str]:
    """The features whose values are not the same in both; rows are matched by index."""
    before = before.reindex(after.index)
    return [name for name in FEATURES if not before[name].equals(after[name])]
