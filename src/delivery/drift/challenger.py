"""Train challengers: models that have seen what the champion has not, each scored on a period that neither has seen."""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
from msgspec import Struct, field

from delivery.core import files, workspace
from delivery.core.errors import Failure
from delivery.core.params import Params
from delivery.drift.policy import Window
from delivery.pipeline import train
from delivery.stats import task
from problem import BLOCK, FEATURES, LABEL, PERIOD, PRIMARY, losses, predict


class WindowSums(Struct, frozen=True):
    """A window in a file: one entry for each block; residuals are flat, or lists with one number for each prediction."""

    period: str = field(name="month")
    rows: list[float]
    gains: list[float]
    gaps: list[float | list[float]]
    remains: list[float | list[float]]


def scored_periods(examples: pd.DataFrame, trained_until: str, period: str) -> list[str]:
    """Return the labelled periods until this one whose challenger knows more than the champion, oldest first.

    The first period after the champion's training is not among them: a challenger for it is the champion.
    """
    labelled = examples.loc[examples[LABEL].notna(), PERIOD].unique()
    return sorted(name for name in labelled if trained_until < name <= period)[1:]


def window(rows: pd.DataFrame, champion: np.ndarray, challenger: np.ndarray) -> Window:
    """Return the gains and residuals of both models on the labelled rows of one period, summed per block.

    `champion` and `challenger` are predictions of shape (rows,) or (rows, classes).
    """
    y = rows[LABEL].to_numpy(float)
    at, _ = pd.factorize(rows[BLOCK], sort=True)
    gains = losses(y, champion)[PRIMARY] - losses(y, challenger)[PRIMARY]
    columns = [np.ones((len(y), 1)), gains[:, None], task.residuals(y, champion), task.residuals(y, challenger)]
    counts, gains, gaps, remains = (pd.DataFrame(each).groupby(at).sum().to_numpy() for each in columns)
    return Window(str(rows[PERIOD].iloc[0]), counts[:, 0], gains[:, 0], gaps, remains)


def windows(
    examples: pd.DataFrame,
    periods: Sequence[str],
    champion: Callable[[pd.DataFrame], np.ndarray],
    keys: Sequence[str],
    settings: Params,
) -> list[Window]:
    """Score each period by its own challenger; read it from an earlier check if nothing has changed since (`keys`).

    `champion` returns its predictions for rows.
    """
    scored = []
    for period, key in zip(periods, keys, strict=True):
        known = recall(key)
        if known is None:
            rows = train.labelled(examples, period)
            model = train.fitted(examples, period, settings)
            known = window(rows, champion(rows), predict(model, rows[list(FEATURES)]))
            remember(key, known)
        scored.append(known)
    return scored


def window_key(data: Path, period: str, champion: str, settings: Params) -> str:
    """Return a digest of everything a window depends on: raw files until the period, champion, training params."""
    parts = [champion, period, json.dumps(msgspec.to_builtins(settings.train), sort_keys=True)]
    for file in sorted(data.rglob("*.parquet")):
        if file.parent == data or file.stem <= period:
            parts.append(f"{file.relative_to(data)} {files.digest(file)}")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def recall(key: str) -> Window | None:
    """Return the window that an earlier check has kept under the key, in the store or here; None if there is none.

    Raise `Failure` if the file is broken. Another check alone would read it again, so it has to be deleted.
    """
    for folder in (workspace.WINDOWS_KEPT, workspace.WINDOWS_CACHE):
        path = folder / f"{key}.json"
        if path.exists():
            return read_window(path, kept=folder == workspace.WINDOWS_KEPT)
    return None


def read_window(path: Path, *, kept: bool) -> Window:
    """Return the window in the file. Raise `Failure` if it is broken; `kept`: whether it is in the store."""
    try:
        sums = msgspec.json.decode(path.read_bytes(), type=WindowSums)
        window = Window(
            sums.period, *(np.array(each, float) for each in (sums.rows, sums.gains, sums.gaps, sums.remains))
        )
        if not len(window.rows) or {len(window.gains), len(window.gaps), len(window.remains)} != {len(window.rows)}:
            raise ValueError("its lists differ in length")
    except (msgspec.MsgspecError, ValueError) as error:
        push = "run `delivery store push` " if kept else ""
        raise Failure(
            f"{path} is no window of a drift check ({error}); delete it, {push}and run `delivery drift`, "
            "which trains the challenger again"
        ) from None
    return window


def remember(key: str, window: Window) -> None:
    """Keep the window under the key on this machine; `decisions.record` copies it to the store."""
    lists = (sums.tolist() for sums in (window.rows, window.gains, window.gaps, window.remains))
    sums = WindowSums(window.period, *lists)
    files.write_json(workspace.WINDOWS_CACHE / f"{key}.json", msgspec.to_builtins(sums))
