"""What was really predicted: the service's log and the batch's files, joined with the labels when they arrive.

The same request must give the same features and the same score offline; and what the model says must not
decide which labels come back.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
from msgspec import inspect

from delivery.adapters import dvc
from delivery.core import files, workspace
from delivery.core.errors import Failure
from delivery.core.params import Compare, Params
from delivery.model import runtime
from delivery.service.log import read
from delivery.stats import task
from delivery.stats.bootstrap import interval
from delivery.stats.predictions import PREDICTION, values
from problem import BLOCK, FEATURES, KEY, LABEL, PERIOD, PRIMARY, Request, losses, row

Rows = pd.DataFrame
FIFTH = 0.2


def names() -> list[str]:
    """What names an example in a request: its required fields that are no measurements, or all if there are no such.

    Measurements do not take part: that they differ between request and table is what is looked for.
    """
    info: Any = inspect.type_info(Request)
    named = [field.name for field in info.fields if field.required and not _number(field.type)]
    return named or [field.name for field in info.fields if field.required] or [field.name for field in info.fields]


def _number(kind: Any) -> bool:
    while isinstance(kind, inspect.Metadata):
        kind = kind.type
    return isinstance(kind, inspect.FloatType)


def fetched(place: str) -> Path:
    """The folder with the log; an address (https://, s3://, ...) is copied by DVC, with its plugins and credentials.

    Raises Failure where it cannot be had.
    """
    if "://" not in place:
        return Path(place)
    with files.replacing(workspace.CACHE / "served") as scratch:
        dvc.run("get-url", place, str(scratch), quiet=True)
    return workspace.CACHE / "served"


def logged(folder: Path) -> tuple[Rows, int]:
    """One row per prediction in the log: time, version, prediction, `names()` and FEATURES as they were served.

    Also the number of rows that are no requests of today's schema. Raises Failure for a folder without a log.
    """
    if not any(folder.glob("predictions-*.jsonl")):
        raise Failure(f"{folder} has no prediction log; start the service with `--log {folder}`")
    table, unreadable = [], 0
    try:
        for line in read(folder):
            for fields, score in zip(line.rows, line.scores, strict=True):
                try:
                    request = msgspec.convert(fields, Request)
                except msgspec.ValidationError:
                    unreadable += 1
                    continue
                named = [getattr(request, name) for name in names()]
                table.append((line.time, line.version, score, *named, *row(request)))
    except (msgspec.DecodeError, ValueError) as error:
        raise Failure(f"the prediction log in {folder} has a broken line ({error}); take that line out") from None
    features = [f"served {name}" for name in FEATURES]
    return pd.DataFrame(table, columns=["time", "version", PREDICTION, *names(), *features]), unreadable


def batch(folder: Path) -> Rows:
    """KEY and prediction of every month that `batch` has scored and kept under `folder`."""
    parts = [pd.read_parquet(path, columns=[*KEY, PREDICTION]) for path in sorted(folder.glob("*/predictions.parquet"))]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=[*KEY, PREDICTION])


def join(predicted: Rows, examples: Rows, on: Sequence[str] | None = None) -> tuple[Rows, dict[str, int]]:
    """Predictions with the example each was made for, and what could not be joined.

    `on` is `names()` for the log and KEY for batches. Of several predictions of one version for one example the
    last counts; examples that share a name cannot be told apart and are left out.
    """
    on = list(on or names())
    twice = examples.duplicated(on, keep=False)
    version = ["version"] if "version" in predicted else []
    last = predicted.drop_duplicates([*on, *version], keep="last")
    shared = examples[twice][on].drop_duplicates()
    joined = last.merge(examples[~twice], on=on, how="inner", validate="many_to_one")
    ambiguous = len(last.merge(shared, on=on))
    return joined, {
        "predictions": len(predicted),
        "repeated": len(predicted) - len(last),
        "ambiguous": ambiguous,
        "unknown": len(last) - len(joined) - ambiguous,
        "joined": len(joined),
        "labelled": int(joined[LABEL].notna().sum()),
    }


def skew(joined: Rows) -> list[dict]:
    """The features that differ between the request and the table, with how often and one case of it."""
    found = []
    for name in FEATURES:
        online, offline = joined[f"served {name}"], joined[name]
        if pd.api.types.is_numeric_dtype(offline):
            online = pd.to_numeric(online, errors="coerce")
        differs = ((online != offline) & ~(online.isna() & offline.isna())).to_numpy()
        if differs.any():
            at = int(np.flatnonzero(differs)[0])
            case = f"{online.iloc[at]!s} served, {offline.iloc[at]!s} in the table"
            found.append({"feature": name, "share": float(differs.mean()), "case": case})
    return sorted(found, key=lambda case: -case["share"])


def again(joined: Rows, score) -> float:
    """Largest difference of a logged score from the same model's on the logged features."""
    rows = list(joined[[f"served {name}" for name in FEATURES]].itertuples(index=False, name=None))
    clean = [tuple(None if isinstance(value, float) and np.isnan(value) else value for value in each) for each in rows]
    return float(np.max(np.abs(score(clean) - values(joined[PREDICTION])), initial=0.0))


def feedback(joined: Rows, reference: Rows, params: Compare) -> dict[str, Any]:
    """Whether labels come back for other scores than they would without the model.

    Availability of the label among the fifth of the highest scores less among the lowest, for the predictions that
    were served and for rows that nobody acted upon (`reference`: KEY, BLOCK, LABEL, prediction). In itself such a
    difference is natural (a storm cancels what would have been late); that it changes is the warning. Days are
    resampled on both sides; `warn` is an interval that leaves out zero.
    """
    periods = joined.loc[joined[LABEL].notna(), PERIOD].unique()
    due = joined[joined[PERIOD].isin(periods)]  # a month without any label has simply not arrived
    if due.empty or reference.empty:
        return {"rows": len(due), "warn": False, "why": "no served prediction is due for a label yet"}
    served, other = (_slope(rows, params) for rows in (due, reference))
    span = interval(served[1] - other[1], params.confidence)
    return {
        "rows": len(due),
        "served": served[0],
        "reference": other[0],
        "low": span.low,
        "high": span.high,
        "warn": span.low > 0 or span.high < 0,
    }


def _slope(rows: Rows, params: Compare) -> tuple[float, np.ndarray]:
    """The difference, and in each resample of days, shape (resamples,)."""
    p = task.plain(values(rows[PREDICTION]))
    rank = np.argsort(np.argsort(p, kind="stable")) / len(p)
    known = rows[LABEL].notna().to_numpy(float)
    at, days = pd.factorize(rows[BLOCK])
    draws = np.random.default_rng(params.seed).multinomial(
        len(days), np.full(len(days), 1 / len(days)), params.resamples
    )
    value, drawn = 0.0, np.zeros(params.resamples)
    for sign, inside in ((1, rank >= 1 - FIFTH), (-1, rank < FIFTH)):
        there, count = (np.bincount(at[inside], each[inside], len(days)) for each in (known, np.ones(len(p))))
        value += sign * there.sum() / count.sum()
        drawn += sign * (draws @ there) / np.maximum(draws @ count, 1)
    return float(value), drawn


def realised(joined: Rows, counts: dict[str, int]) -> dict[str, Any]:
    """Loss of the predictions whose label has arrived."""
    known = joined[joined[LABEL].notna()]
    loss = losses(known[LABEL].to_numpy(float), values(known[PREDICTION]))[PRIMARY]
    return {"counts": counts, "loss": float(loss.mean()) if len(known) else None}


def facts(log: Path, examples: Rows, reference: Rows, settings: Params) -> dict[str, Any]:
    """Everything above about a service's log; `reference` as for `feedback`."""
    predicted, unreadable = logged(log)
    joined, counts = join(predicted, examples)
    model = runtime.load(workspace.EXPORT)
    ours = joined[joined["version"] == model.manifest.sha256[:12]]
    return realised(joined, counts) | {
        "unreadable": unreadable,
        "versions": sorted(predicted["version"].unique()),
        "skew": skew(joined),
        "again": again(ours, model.score) if len(ours) else None,
        "feedback": feedback(joined, reference, settings.compare),
    }
