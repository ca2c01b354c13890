"""Why the loss moved, in numbers and in plain sentences."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from delivery.core.params import Compare
from delivery.render.markdown import escaped
from delivery.stats import shift, task
from delivery.stats.bootstrap import blocks, interval, means
from delivery.stats.shift import Bins
from problem import BLOCK, LABEL, PERIOD, PRIMARY, SEGMENTS, losses

UNIT = PRIMARY.replace("_", " ")
FEWEST = 20  # rows in a bin whose mean loss is used
OVERLAP = 0.9  # share of the reference that must still occur, or nothing can be said
SHOWN = 3


def performance(rows: pd.DataFrame, p: np.ndarray, params: Compare) -> dict[str, Any]:
    """Loss and calibration of labelled rows with intervals over resampled blocks, and by block."""
    y = rows[LABEL].to_numpy(float)
    loss = losses(y, p)[PRIMARY]
    grouped = blocks(rows[BLOCK], params.resamples, params.seed)
    span = interval(means(loss, grouped), params.confidence)
    both = {"predicted": task.plain(p), "observed": task.observed(y, p)}
    days = pd.DataFrame({"loss": loss} | both).groupby(rows[BLOCK].to_numpy())
    return {
        "rows": len(rows),
        "loss": float(loss.mean()),
        "low": span.low,
        "high": span.high,
        "level": task.level(y),
        "blocks": days.mean().assign(rows=days.size()).rename_axis(BLOCK).reset_index().to_dict("records"),
    }


def rise(before: dict, now: dict, params: Compare) -> dict[str, float]:
    """How much higher the loss is than it was, with an interval: the days of both are resampled apart."""
    rng = np.random.default_rng(params.seed)
    both = []
    for part in (now, before):
        rows = np.array([block["rows"] for block in part["blocks"]], float)
        sums = rows * [block["loss"] for block in part["blocks"]]
        draws = rng.multinomial(len(rows), np.full(len(rows), 1 / len(rows)), size=params.resamples)
        both.append((draws @ sums) / (draws @ rows))
    span = interval(both[0] - both[1], params.confidence)
    return {"value": now["loss"] - before["loss"], "low": span.low, "high": span.high}


def attribution(before: pd.DataFrame, now: pd.DataFrame, loss: np.ndarray, where: Mapping[str, Bins]) -> list[dict]:
    """How much lower the loss of `now`, shape (rows,), would be if one column were spread as before, greatest first.

    Method: post-stratification, which is resampling in the limit: rows are weighted so that the column's bins have
    their former shares. One column at a time: columns that move together explain the same loss twice. `explains`
    is None where too little of the former values occurs now to weight by.
    """
    table = []
    for name, own in where.items():
        old, new = (shift.codes(rows[name], own) for rows in (before, now))
        size = max(int(old.max()), int(new.max())) + 1
        share = np.bincount(old, minlength=size) / len(old)
        rows = np.bincount(new, minlength=size)
        mean = np.bincount(new, loss, size) / np.maximum(rows, 1)
        usable = rows >= FEWEST
        overlap = float(share[usable].sum())
        known = overlap >= OVERLAP
        explains = float(loss.mean() - (share * mean)[usable].sum() / overlap) if known else None
        table.append({"column": name, "explains": explains, "overlap": overlap})
    return sorted(table, key=lambda row: -abs(row["explains"] or 0.0))


def by_segment(before: pd.DataFrame, now: pd.DataFrame, losses_: Sequence[np.ndarray], fewest: int) -> list[dict]:
    """Rise of the loss within each segment, those with the largest part in the whole rise first."""
    table = []
    for column in SEGMENTS:
        for value in sorted(now[column].dropna().unique()):
            parts = [
                loss[(rows[column] == value).to_numpy()] for rows, loss in zip((before, now), losses_, strict=True)
            ]
            if min(map(len, parts)) < fewest:
                continue
            rise = float(parts[1].mean() - parts[0].mean())
            share = len(parts[1]) / len(now)
            table.append({"segment": f"{column}={value}", "rows": len(parts[1]), "rise": rise, "part": rise * share})
    return sorted(table, key=lambda row: -row["part"])


def sentences(found: dict[str, Any], before: pd.DataFrame, now: pd.DataFrame) -> list[str]:
    """What moved, where, and how much of the loss it explains; `found` is the evidence of `evidence.gather`."""
    old, new, rise = found["before"], found["now"], found["rise"]
    month, was = now[PERIOD].max(), before[PERIOD].min()
    known = {row["column"]: row["explains"] for row in found["attribution"] if row["explains"] is not None}
    said = [
        f"The champion's {UNIT} is {new['loss']:.4f} [{new['low']:.4f}, {new['high']:.4f}] on {month} and was "
        f"{old['loss']:.4f} on {was}, its test rows: {rise['value']:+.4f} [{rise['low']:+.4f}, {rise['high']:+.4f}], "
        + ("beyond noise." if rise["low"] > 0 or rise["high"] < 0 else "within noise.")
    ]
    label = f"`{LABEL}`, {task.worded(old['level'])}, now {task.worded(new['level'])}"
    said.append(label + (f"; that alone explains {known[LABEL]:+.4f}." if LABEL in known else "."))
    if rise["low"] > 0:
        chief = [(name, value) for name, value in known.items() if name != LABEL and value > 0.1 * rise["value"]]
        parts = ", ".join(f"`{name}` {value:+.4f} ({value / rise['value']:.0%})" for name, value in chief[:SHOWN])
        said.append(
            f"Spread as in {was}, one column at a time, these would take back the most: {parts}."
            if parts
            else "No single column's spread explains a tenth of it: the same rows have become harder to predict."
        )
        if found["segments"]:
            top = found["segments"][0]
            said.append(
                f"The largest part falls to {escaped(top['segment'])}: {top['rise']:+.4f} on {top['rows']:,} rows."
            )
    moved = [f"`{row.column}`" for row in found["shift"] if row.alarm]
    seasonal = [f"`{row.column}`" for row in found["shift"] if row.seasonal and row.psi > found["psi_alarm"]]
    said.append(
        f"Moved beyond the alarm: {', '.join(moved)}." if moved else "No column that should stand still has moved."
    )
    if seasonal:
        said.append(f"Moved with the season, as expected: {', '.join(seasonal)}.")
    return said
