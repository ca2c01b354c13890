"""Rows to learn from: real ones, January and February for training, March held out."""

import pandas as pd
import pytest
import sample
from msgspec.structs import replace

from delivery import params, prepare, train
from problem import Train, table

EVERY = 6  # one row in so many; the neighbours that late_rate and departures look at are all there

Split = tuple[pd.DataFrame, pd.DataFrame]


@pytest.fixture(scope="session")
def split(raw: dict[str, pd.DataFrame]) -> Split:
    first, second = prepare.split(table(raw), 1)
    return first.iloc[::EVERY].reset_index(drop=True), second.iloc[::EVERY].reset_index(drop=True)


@pytest.fixture(scope="session")
def settings() -> Train:
    """What params.yaml says, with fewer and larger steps."""
    chosen = params.load(sample.ROOT / "params.yaml").train
    return replace(chosen, model="hist_gradient_boosting", max_iter=40, learning_rate=0.1)


@pytest.fixture(scope="session")
def fitted(split: Split, settings: Train):
    return train.fit(split[0], settings)
