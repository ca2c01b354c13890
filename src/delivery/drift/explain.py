"""Explain why the loss moved, in numbers and in plain sentences."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from delivery.core.params import Compare
from delivery.drift.findings import Attribution, BlockLoss, Findings, Performance, Rise, SegmentRise
from delivery.render.markdown import escaped
from delivery.stats import shift, task
from delivery.stats.bootstrap import blocks, interval, means
from delivery.stats.shift import Bins, ShiftRow
from problem import BLOCK, LABEL, PERIOD, PRIMARY, SEGMENTS, losses

UNIT = PRIMARY.replace("_", " ")
FEWEST = 20  # rows in a bin whose mean loss is used
OVERLAP = 0.9  # least share of the reference's values that must still occur for an explanation
SHOWN = 3  # columns named in a sentence


def performance(rows: pd.DataFrame, p: np.ndarray, params: Compare) -> Performance:
    """Return loss and level of labelled rows with an interval over resampled blocks, and the blocks.

    `p`: predictions, shape (rows,), multi-class (rows, classes).
    """
    y = rows[LABEL].to_numpy(float)
    loss = losses(y, p)[PRIMARY]
    grouped = blocks(rows[BLOCK], params.resamples, params.seed)
    span = interval(means(loss, grouped), params.confidence)
    columns = pd.DataFrame({"loss": loss, "predicted": task.plain(p), "observed": task.observed(y, p)})
    by_block = columns.groupby(rows[BLOCK].to_numpy())
    table = by_block.mean().assign(rows=by_block.size())
    return Performance(
        rows=len(rows),
        loss=float(loss.mean()),
        low=span.low,
        high=span.high,
        level=tuple(task.level(y)),
        blocks=tuple(BlockLoss(*row) for row in table.itertuples(name=None)),
    )


def rise(before: Performance, now: Performance, params: Compare) -> Rise:
    """Return the rise of the loss with an interval; the blocks of both are resampled independently."""
    rng = np.random.default_rng(params.seed)
    resampled = []
    for part in (now, before):
        rows = np.array([block.rows for block in part.blocks], float)
        sums = rows * [block.loss for block in part.blocks]
        draws = rng.multinomial(len(rows), np.full(len(rows), 1 / len(rows)), size=params.resamples)
        resampled.append((draws @ sums) / (draws @ rows))
    span = interval(resampled[0] - resampled[1], params.confidence)
    return Rise(now.loss - before.loss, span.low, span.high)


def attribution(
    before: pd.DataFrame, now: pd.DataFrame, loss: np.ndarray, bins: Mapping[str, Bins]
) -> list[Attribution]:
    """Return how much lower the loss of `now`, shape (rows,), would be if one column had its former distribution.

    The greatest comes first.

    Method: post-stratification. Rows are weighted so that the column's bins have their former shares. Each column is
    taken alone, so columns that move together explain the same loss twice. `explains` is None if too few of the
    former values occur now.
    """
    table = []
    for name, own in bins.items():
        old, new = (shift.codes(rows[name], own) for rows in (before, now))
        size = max(int(old.max()), int(new.max())) + 1
        share = np.bincount(old, minlength=size) / len(old)
        rows = np.bincount(new, minlength=size)
        mean = np.bincount(new, loss, size) / np.maximum(rows, 1)
        usable = rows >= FEWEST
        overlap = float(share[usable].sum())
        known = overlap >= OVERLAP
        explains = float(loss.mean() - (share * mean)[usable].sum() / overlap) if known else None
        table.append(Attribution(name, explains, overlap))
    return sorted(table, key=lambda row: -abs(row.explains or 0.0))


def by_segment(
    before: pd.DataFrame, now: pd.DataFrame, both_losses: Sequence[np.ndarray], fewest: int
) -> list[SegmentRise]:
    """Return the rise of the loss within each segment of at least `fewest` rows, largest part of the whole rise first.

    `both_losses`: the loss of each row of `before` and of `now`.
    """
    table = []
    for column in SEGMENTS:
        for value in sorted(now[column].dropna().unique()):
            parts = [
                loss[(rows[column] == value).to_numpy()] for rows, loss in zip((before, now), both_losses, strict=True)
            ]
            if min(map(len, parts)) < fewest:
                continue
            increase = float(parts[1].mean() - parts[0].mean())
            share = len(parts[1]) / len(now)
            table.append(SegmentRise(f"{column}={value}", len(parts[1]), increase, increase * share))
    return sorted(table, key=lambda row: -row.part)


def sentences(
    findings: Findings, shifted: Sequence[ShiftRow], before: pd.DataFrame, now: pd.DataFrame
) -> tuple[str, ...]:
    """Return sentences on what moved, where, and how much of the loss it explains; `findings` lack only these."""
    old, new, increase = findings.before, findings.now, findings.rise
    assert new is not None
    assert increase is not None
    period, was = now[PERIOD].max(), before[PERIOD].min()
    known = {row.column: row.explains for row in findings.attribution or () if row.explains is not None}
    lines = [
        f"The champion's {UNIT} is {new.loss:.4f} [{new.low:.4f}, {new.high:.4f}] on {period} and was "
        f"{old.loss:.4f} on {was}, its test rows: {increase.value:+.4f} [{increase.low:+.4f}, {increase.high:+.4f}], "
        + ("beyond noise." if increase.low > 0 or increase.high < 0 else "within noise.")
    ]
    label = f"`{LABEL}`, {task.worded(old.level)}, now {task.worded(new.level)}"
    lines.append(label + (f"; that alone explains {known[LABEL]:+.4f}." if LABEL in known else "."))
    if increase.low > 0:
        lines += _causes(known, increase, was)
        if findings.segments:
            top = findings.segments[0]
            lines.append(f"The largest part falls to {escaped(top.segment)}: {top.rise:+.4f} on {top.rows:,} rows.")
    return (*lines, *_moved(shifted, findings.psi_alarm))


def _causes(known: Mapping[str, float], increase: Rise, was: str) -> list[str]:
    chief = [(name, value) for name, value in known.items() if name != LABEL and value > 0.1 * increase.value]
    parts = ", ".join(f"`{name}` {value:+.4f} ({value / increase.value:.0%})" for name, value in chief[:SHOWN])
    if not parts:
        return ["No single column's spread explains a tenth of it: the same rows have become harder to predict."]
    return [f"Spread as in {was}, one column at a time, these would take back the most: {parts}."]


def _moved(shifted: Sequence[ShiftRow], alarm: float) -> list[str]:
    moved = [f"`{row.column}`" for row in shifted if row.alarm]
    seasonal = [f"`{row.column}`" for row in shifted if row.seasonal and row.psi > alarm]
    lines = [
        f"Moved beyond the alarm: {', '.join(moved)}." if moved else "No column that should stand still has moved."
    ]
    if seasonal:
        lines.append(f"Moved with the season, as expected: {', '.join(seasonal)}.")
    return lines
