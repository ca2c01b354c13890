"""Challengers: models that have seen what the champion has not, each scored on a month that neither has seen."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd

from delivery.core import files, workspace
from delivery.core.params import Params
from delivery.drift.policy import Window
from delivery.pipeline import train
from delivery.stats import task
from problem import BLOCK, FEATURES, LABEL, PERIOD, PRIMARY, losses, predict


def months(examples: pd.DataFrame, trained_until: str, month: str) -> list[str]:
    """The labelled months whose challenger knows more than the champion, oldest first.

    What comes right after the champion's training is not among them: a challenger for it is the champion.
    """
    labelled = examples.loc[examples[LABEL].notna(), PERIOD].unique()
    return sorted(period for period in labelled if trained_until < period <= month)[1:]


def window(rows: pd.DataFrame, champion: np.ndarray, challenger: np.ndarray) -> Window:
    """Labelled rows of one month and both predictions as sums by day."""
    y = rows[LABEL].to_numpy(float)
    at, _ = pd.factorize(rows[BLOCK], sort=True)
    gains = losses(y, champion)[PRIMARY] - losses(y, challenger)[PRIMARY]
    columns = [np.ones((len(y), 1)), gains[:, None], task.residuals(y, champion), task.residuals(y, challenger)]
    counts, gains, gaps, remains = (pd.DataFrame(each).groupby(at).sum().to_numpy() for each in columns)
    return Window(str(rows[PERIOD].iloc[0]), counts[:, 0], gains[:, 0], gaps, remains)


def windows(
    examples: pd.DataFrame, names: Sequence[str], champion: Any, keys: Sequence[str], settings: Params
) -> list[Window]:
    """Each month scored by its own challenger, from a former check where nothing has changed since (`keys`)."""
    found = []
    for month, key in zip(names, keys, strict=True):
        known = recall(key)
        if known is None:
            rows = train.labelled(examples, month)
            model = train.fitted(examples, month, settings)
            known = window(rows, *(predict(each, rows[list(FEATURES)]) for each in (champion, model)))
            remember(key, known)
        found.append(known)
    return found


def key(data: Path, month: str, champion: str, settings: Params) -> str:
    """What a window depends on: the raw files until the month, the champion, how the challenger is trained."""
    parts = [champion, month, json.dumps(msgspec.to_builtins(settings.train), sort_keys=True)]
    for file in sorted(data.rglob("*.parquet")):
        if file.parent == data or file.stem <= month:
            parts.append(f"{file.relative_to(data)} {files.digest(file)}")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def recall(key: str) -> Window | None:
    for folder in (workspace.WINDOWS_KEPT, workspace.WINDOWS_CACHE):
        path = folder / f"{key}.json"
        if path.exists():
            content = files.read_json(path, "drift")
            return Window(content["month"], *(np.array(content[name]) for name in ("rows", "gains", "gaps", "remains")))
    return None


def remember(key: str, known: Window) -> None:
    content = {"month": known.month} | {
        name: getattr(known, name).tolist() for name in ("rows", "gains", "gaps", "remains")
    }
    files.write_json(workspace.WINDOWS_CACHE / f"{key}.json", content)
