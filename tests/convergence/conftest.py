"""Rows to learn from: real ones, two periods for training, the third held out."""

import pandas as pd
import pytest
import sample

from delivery.core import params
from delivery.pipeline import prepare, train
from problem import Train, table

ROWS = 14_000  # of each part at most, every so many in order: all their neighbours were there for the features

Split = tuple[pd.DataFrame, pd.DataFrame]


@pytest.fixture(scope="session")
def split(raw: dict[str, pd.DataFrame]) -> Split:
    first, second = prepare.split(table(raw), 1)
    one, other = (rows.iloc[:: 1 + len(rows) // ROWS].reset_index(drop=True) for rows in (first, second))
    return one, other


@pytest.fixture(scope="session")
def settings() -> Train:
    """What params.yaml says, with fewer and larger steps."""
    chosen = params.load(sample.ROOT / "params.yaml").train
    return sample.adjusted(chosen, max_iter=40, learning_rate=0.1)


@pytest.fixture(scope="session")
def fitted(split: Split, settings: Train):
    return train.fit(split[0], settings)
