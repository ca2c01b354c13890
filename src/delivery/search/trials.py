"""Try settings on folds of the training rows, and keep each trial in a journal as it ends."""

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
from msgspec import Struct
from msgspec.structs import replace

from delivery.core import files
from delivery.core.errors import Failure
from delivery.core.params import Params
from delivery.pipeline.train import fitted, labelled
from problem import BLOCK, FEATURES, LABEL, PRIMARY, Train, losses, predict


class Trial(Struct, frozen=True):
    """Settings and their result: the sum of losses in each block of each fold, or why there is none."""

    train: Train
    sums: list[float]
    seconds: float
    failed: str = ""


def attempt(train: Train, source: Path, folds: Sequence[str], settings: Params) -> Trial:
    """Return the losses on each fold of a model that was trained only on the periods before it."""
    began = time.monotonic()
    rows = pd.read_parquet(source)
    sums: list[float] = []
    failed = ""
    try:
        for period in folds:
            model = fitted(rows, period, replace(settings, train=train))
            fold = labelled(rows, period)
            loss = losses(fold[LABEL].to_numpy(float), predict(model, fold[list(FEATURES)]))[PRIMARY]
            sums += pd.Series(loss).groupby(fold[BLOCK].to_numpy()).sum().tolist()
        if not np.isfinite(sums).all():
            failed = f"its {PRIMARY} is not finite"
    except Failure as failure:
        failed = str(failure)
    return Trial(train, [] if failed else sums, time.monotonic() - began, failed)


def read(journal: Path) -> list[Trial]:
    """Return the trials of a journal, and remove a line that a killed process has not finished."""
    lines = journal.read_bytes().splitlines() if journal.exists() else []
    trials = []
    for line in lines:
        with suppress(msgspec.DecodeError):
            trials.append(msgspec.json.decode(line, type=Trial))
    if len(trials) < len(lines):
        files.write(journal, b"".join(msgspec.json.encode(trial) + b"\n" for trial in trials))
    return trials


def keep(journal: Path, trial: Trial) -> None:
    """Append a trial to the journal; it survives a crash of the machine."""
    journal.parent.mkdir(parents=True, exist_ok=True)
    with journal.open("ab") as file:
        file.write(msgspec.json.encode(trial) + b"\n")
        file.flush()
        os.fsync(file.fileno())
