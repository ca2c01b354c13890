"""Evidence of a month against what the champion knows: what moved, how the champion does, how old everything is."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from delivery.core import files
from delivery.core.params import Params
from delivery.drift import explain
from delivery.stats import shift, task
from problem import BLOCK, CLASSES, FEATURES, LABEL, PERIOD, PRIMARY, SEASONAL, TABLES, losses

SCORE = "score"


def gather(
    seen: pd.DataFrame, before: pd.DataFrame, now: pd.DataFrame, scores: Sequence[np.ndarray], settings: Params
) -> dict:
    """Everything that is known without a challenger, and what it means in sentences.

    `seen`: the champion's training rows; `before`: its test rows; `now`: the month, labelled or not.
    `scores`: the champion's predictions for the three.
    """
    said = [task.named(p, SCORE) for p in scores]
    columns = [*said[0], *FEATURES]
    reference, month = seen.assign(**said[0]), now.assign(**said[2])
    labelled = now[LABEL].notna().to_numpy()
    where = shift.bins(reference, columns)
    table = shift.table(shift.count(reference, where), shift.count(month, where), SEASONAL, settings.drift.psi_alarm)
    found: dict[str, Any] = {"shift": table, "psi_alarm": settings.drift.psi_alarm}
    found |= {"before": explain.performance(before, scores[1], settings.compare), "now": None, "sentences": []}
    if not labelled.any():
        return found
    rows = now[labelled].reset_index(drop=True)
    found["now"] = explain.performance(rows, scores[2][labelled], settings.compare)
    found["rise"] = explain.rise(found["before"], found["now"], settings.compare)
    pairs = ((before, scores[1]), (rows, scores[2][labelled]))
    loss = [losses(part[LABEL].to_numpy(float), p)[PRIMARY] for part, p in pairs]
    own = {name: where[name] for name in FEATURES} | labels(before)
    found["attribution"] = explain.attribution(before, rows, loss[1], own)
    found["segments"] = explain.by_segment(before, rows, loss, settings.compare.segment_rows)
    found["sentences"] = explain.sentences(found, before, rows)
    return found


def labels(before: pd.DataFrame) -> dict[str, shift.Bins]:
    """The label as a column that may have moved: a bin for each class, or those of any number."""
    return {LABEL: shift.Bins(np.arange(1, len(CLASSES)) - 0.5, None)} if CLASSES else shift.bins(before, [LABEL])


def age(seen: pd.DataFrame, now: pd.DataFrame, month: str, periods: Sequence[str]) -> dict[str, Any]:
    """Staleness of the champion and freshness of the month's data, in the data's own time."""
    labelled = now[now[LABEL].notna()]
    return {
        "champion_trained_until": str(seen[PERIOD].max()),
        "months_since": list(periods).index(month) - list(periods).index(str(seen[PERIOD].max())),
        "newest_in_source": periods[-1],
        "newest_row": str(now[BLOCK].max()) if len(now) else None,
        "newest_label": str(labelled[BLOCK].max()) if len(labelled) else None,
        "days": int(labelled[BLOCK].nunique()),
        "labelled": len(labelled) / max(len(now), 1),
    }


def revisions(old: Path, new: Path) -> list[dict]:
    """What the source has changed in months that were fetched before: rows added, removed and altered, by file."""
    table = []
    for file in sorted(old.rglob("*.parquet")):
        path = file.relative_to(old)
        if not (new / path).exists() or files.digest(file) == files.digest(new / path):
            continue
        key = list(TABLES[path.parts[0].removesuffix(".parquet")].key)
        before, after = (pd.read_parquet(folder / path).set_index(key) for folder in (old, new))
        both = before.index.intersection(after.index)
        same = [name for name in before if name in after]
        left, right = (rows.loc[both, same].reset_index(drop=True) for rows in (before, after))
        altered = ((left != right) & ~(left.isna() & right.isna())).any(axis=1)
        counts = {"added": len(after) - len(both), "removed": len(before) - len(both), "altered": int(altered.sum())}
        table.append({"file": path.as_posix()} | counts)
    return table
