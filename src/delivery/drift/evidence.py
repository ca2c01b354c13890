"""Gather the evidence on a period: which columns moved, how well the champion predicts it, how old model and data are."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from msgspec.structs import replace

from delivery.core import files
from delivery.core.params import Params
from delivery.drift import explain
from delivery.drift.findings import Age, Findings, Revision
from delivery.stats import shift, task
from delivery.stats.shift import Bins, ShiftRow
from problem import BLOCK, CLASSES, FEATURES, LABEL, PERIOD, PRIMARY, SEASONAL, TABLES, losses

SCORE = "score"


def gather(
    seen: pd.DataFrame, before: pd.DataFrame, now: pd.DataFrame, scores: Sequence[np.ndarray], settings: Params
) -> tuple[tuple[ShiftRow, ...], Findings]:
    """Return how far each column has moved, and the findings that need no challenger, with sentences.

    `seen`: the champion's training rows; `before`: its test rows; `now`: the period, labelled or not.
    `scores`: the champion's predictions for the three, each of shape (rows,), multi-class (rows, classes).
    """
    named_scores = [task.named(p, SCORE) for p in scores]
    columns = [*named_scores[0], *FEATURES]
    reference, period = seen.assign(**named_scores[0]), now.assign(**named_scores[2])
    bins = shift.bins(reference, columns)
    alarm = settings.drift.psi_alarm
    shifted = tuple(shift.table(shift.count(reference, bins), shift.count(period, bins), SEASONAL, alarm))
    past = explain.performance(before, scores[1], settings.compare)
    findings = Findings(psi_alarm=alarm, before=past, now=None, sentences=())
    labelled = now[LABEL].notna().to_numpy()
    if not labelled.any():
        return shifted, findings
    rows, p = now[labelled].reset_index(drop=True), scores[2][labelled]
    present = explain.performance(rows, p, settings.compare)
    old, new = (losses(part[LABEL].to_numpy(float), each)[PRIMARY] for part, each in ((before, scores[1]), (rows, p)))
    own = {name: bins[name] for name in FEATURES} | label_bins(before)
    findings = replace(
        findings,
        now=present,
        rise=explain.rise(past, present, settings.compare),
        attribution=tuple(explain.attribution(before, rows, new, own)),
        segments=tuple(explain.by_segment(before, rows, [old, new], settings.compare.segment_rows)),
    )
    return shifted, replace(findings, sentences=explain.sentences(findings, shifted, before, rows))


def label_bins(before: pd.DataFrame) -> dict[str, Bins]:
    """Return the bins of the label: one for each class, or the same as for other numbers."""
    return {LABEL: Bins(np.arange(1, len(CLASSES)) - 0.5, None)} if CLASSES else shift.bins(before, [LABEL])


def data_age(seen: pd.DataFrame, now: pd.DataFrame, period: str, periods: Sequence[str]) -> Age:
    """Return the staleness of the champion and the freshness of the period's data, in the data's own time."""
    labelled = now[now[LABEL].notna()]
    return Age(
        champion_trained_until=str(seen[PERIOD].max()),
        periods_since=list(periods).index(period) - list(periods).index(str(seen[PERIOD].max())),
        newest_in_source=periods[-1],
        newest_row=str(now[BLOCK].max()) if len(now) else None,
        newest_label=str(labelled[BLOCK].max()) if len(labelled) else None,
        days=int(labelled[BLOCK].nunique()),
        labelled=len(labelled) / max(len(now), 1),
    )


def revisions(old: Path, new: Path) -> list[Revision]:
    """Return the changes that the source has made to files that were fetched before."""
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
        table.append(Revision(path.as_posix(), len(after) - len(both), len(before) - len(both), int(altered.sum())))
    return table
