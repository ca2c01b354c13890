"""Join the predictions of production, from the service's log and the batch's files, with labels as they arrive.

The same request must give the same features and the same score offline, and a prediction must not decide whether its
label comes back.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
from msgspec import inspect

from delivery.adapters import batch_records, dvc
from delivery.core import files, workspace
from delivery.core.errors import Failure
from delivery.core.params import Compare, Params
from delivery.drift.champion import DIGITS, Champion
from delivery.drift.findings import Feedback, JoinCounts, Realised, ServedFacts, Skew
from delivery.model import runtime
from delivery.service.log import read
from delivery.service.tolerance import reader
from delivery.stats import task
from delivery.stats.bootstrap import interval
from delivery.stats.predictions import PREDICTION, values
from problem import BLOCK, FEATURES, KEY, LABEL, PERIOD, PRIMARY, Request, losses, row

Rows = pd.DataFrame
Score = Callable[[list[tuple[Any, ...]]], np.ndarray]
FIFTH = 0.2


def naming_fields() -> list[str]:
    """Return the request's fields that name an example: the required ones that are not measurements, or all.

    Measurements are left out, because skew is a measurement that differs between request and table.
    """
    info: Any = inspect.type_info(Request)
    named = [field.name for field in info.fields if field.required and not _number(field.type)]
    return named or [field.name for field in info.fields if field.required] or [field.name for field in info.fields]


def _number(kind: Any) -> bool:
    while isinstance(kind, inspect.Metadata):
        kind = kind.type
    return isinstance(kind, inspect.FloatType)


def local_log(address: str) -> Path:
    """Return the folder with the log; one at an address (https://, s3://, ...) is copied by DVC.

    DVC's plugins and credentials are used. Raise `Failure` if the copy fails.
    """
    if "://" not in address:
        return Path(address)
    with files.replacing(workspace.CACHE / "served") as scratch:
        dvc.run("get-url", address, str(scratch), quiet=True)
    return workspace.CACHE / "served"


def read_log(folder: Path) -> tuple[Rows, int]:
    """Return one row per logged prediction: time, version, prediction, `naming_fields()`, FEATURES as served.

    Also return how many rows are not requests of today's schema. Raise `Failure` for a folder without a log and
    for a broken line.
    """
    if not any(folder.rglob("predictions-*.jsonl")):
        raise Failure(f"{folder} has no prediction log; start the service with `--log {folder}`")
    table, unreadable = [], 0
    lenient: Any = reader(Request, "ignore")  # as the service may have been; it answered
    try:
        for line in read(folder):
            for fields, score in zip(line.rows, line.scores, strict=True):
                try:
                    request = msgspec.convert(fields, lenient)
                except msgspec.ValidationError:
                    unreadable += 1
                    continue
                fields_by_name = [getattr(request, name) for name in naming_fields()]
                table.append((line.time, line.version, score, *fields_by_name, *row(request)))
    except (msgspec.DecodeError, ValueError) as error:
        raise Failure(f"the prediction log in {folder} has a broken line ({error}); remove that line") from None
    features = [f"served {name}" for name in FEATURES]
    return pd.DataFrame(table, columns=["time", "version", PREDICTION, *naming_fields(), *features]), unreadable


def batch_predictions(folder: Path) -> Rows:
    """Return KEY and prediction of what `batch` has scored and kept under `folder`, in the order in which it was scored."""
    paths = [record.folder / batch_records.PREDICTIONS for record in batch_records.read(folder)]
    parts = [pd.read_parquet(path, columns=[*KEY, PREDICTION]) for path in paths]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=[*KEY, PREDICTION])


def join_examples(predicted: Rows, examples: Rows, on: Sequence[str] | None = None) -> tuple[Rows, JoinCounts]:
    """Return predictions with the example each was made for, and how many could not be joined.

    `on` is `naming_fields()` for the log and KEY for batches. Of several predictions of one version for one
    example the last counts; examples that share a name cannot be told apart and are left out.
    """
    on = list(on or naming_fields())
    twice = examples.duplicated(on, keep=False)
    version = ["version"] if "version" in predicted else []
    last = predicted.drop_duplicates([*on, *version], keep="last")
    shared = examples[twice][on].drop_duplicates()
    joined = last.merge(examples[~twice], on=on, how="inner", validate="many_to_one")
    ambiguous = len(last.merge(shared, on=on))
    return joined, JoinCounts(
        predictions=len(predicted),
        repeated=len(predicted) - len(last),
        ambiguous=ambiguous,
        unknown=len(last) - len(joined) - ambiguous,
        joined=len(joined),
        labelled=int(joined[LABEL].notna().sum()),
    )


def feature_skew(joined: Rows) -> list[Skew]:
    """Return the features that differ between request and table, the most frequent first."""
    table = []
    for name in FEATURES:
        online, offline = joined[f"served {name}"], joined[name]
        if pd.api.types.is_numeric_dtype(offline):
            online = pd.to_numeric(online, errors="coerce")
        differs = ((online != offline) & ~(online.isna() & offline.isna())).to_numpy()
        if differs.any():
            at = int(np.flatnonzero(differs)[0])
            case = f"{online.iloc[at]!s} served, {offline.iloc[at]!s} in the table"
            table.append(Skew(name, float(differs.mean()), case))
    return sorted(table, key=lambda row: -row.share)


def rescoring_error(joined: Rows, score: Score) -> float:
    """Return the largest difference of a logged score from the same model's on the logged features."""
    rows = list(joined[[f"served {name}" for name in FEATURES]].itertuples(index=False, name=None))
    # A missing value is NaN in the frame and None in a request.
    clean = [tuple(None if isinstance(value, float) and np.isnan(value) else value for value in each) for each in rows]
    return float(np.max(np.abs(score(clean) - values(joined[PREDICTION])), initial=0.0))


def label_feedback(joined: Rows, reference: Rows, params: Compare) -> Feedback:
    """Return whether labels come back for other scores than they would without the model.

    Compare how often a label arrives in the fifth with the highest scores, less in the lowest, between served
    predictions and rows that nobody acted upon (`reference`: KEY, BLOCK, LABEL, prediction). In itself such a
    difference is natural (a storm cancels what would have been late); that it changes is the warning. Blocks are
    resampled on both sides; warn if the interval of the change leaves out zero.
    """
    periods = joined.loc[joined[LABEL].notna(), PERIOD].unique()
    due = joined[joined[PERIOD].isin(periods)]  # the labels of a period without any have not arrived yet
    if due.empty or reference.empty:
        return Feedback(rows=len(due), warn=False, why="no served prediction is due for a label yet")
    (served, served_draws), (other, other_draws) = (_slope(rows, params) for rows in (due, reference))
    span = interval(served_draws - other_draws, params.confidence)
    return Feedback(
        rows=len(due),
        served=served,
        reference=other,
        low=span.low,
        high=span.high,
        warn=span.low > 0 or span.high < 0,
    )


def _slope(rows: Rows, params: Compare) -> tuple[float, np.ndarray]:
    """Return the difference in availability, and that of each resample of blocks, shape (resamples,)."""
    p = task.plain(values(rows[PREDICTION]))
    rank = np.argsort(np.argsort(p, kind="stable")) / len(p)
    known = rows[LABEL].notna().to_numpy(float)
    at, names = pd.factorize(rows[BLOCK])
    draws = np.random.default_rng(params.seed).multinomial(
        len(names), np.full(len(names), 1 / len(names)), params.resamples
    )
    value, drawn = 0.0, np.zeros(params.resamples)
    for sign, inside in ((1, rank >= 1 - FIFTH), (-1, rank < FIFTH)):
        labelled, count = (np.bincount(at[inside], each[inside], len(names)) for each in (known, np.ones(len(p))))
        value += sign * labelled.sum() / count.sum()
        drawn += sign * (draws @ labelled) / np.maximum(draws @ count, 1)
    return float(value), drawn


def realised_loss(joined: Rows, counts: JoinCounts) -> Realised:
    """Return the mean loss of the predictions whose label has arrived."""
    known = joined[joined[LABEL].notna()]
    loss = losses(known[LABEL].to_numpy(float), values(known[PREDICTION]))[PRIMARY]
    return Realised(counts, float(loss.mean()) if len(known) else None)


def not_again(counts: JoinCounts, unreadable: int, versions: Sequence[str], same: int, who: Champion) -> str:
    """Return why no logged prediction can be made again, or "". `same`: how many joined ones are the champion's."""
    if not counts.joined:
        return (
            f"none of {counts.predictions + unreadable:,} logged predictions could be joined with its example: {counts.unknown:,} are "
            f"unknown to the data, {counts.ambiguous:,} ambiguous, {unreadable:,} of another schema"
        )
    if not same:
        return f"none that could be joined is by {who.name}; the log has {', '.join(versions)}"
    if who.code:
        return f"main computes other features from a request than the code of {who.name}"
    return ""


def served_facts(log: Path, examples: Rows, reference: Rows, settings: Params, *, who: Champion) -> ServedFacts:
    """Return counts, loss, skew and feedback of a service's log; `reference` as for `label_feedback`.

    A deployment logs the registry's number of its version, a service that was started by hand the model's digest.
    """
    predicted, unreadable = read_log(log)
    joined, counts = join_examples(predicted, examples)
    model = runtime.load(who.export)
    names = {model.manifest.sha256[:DIGITS], who.serving.version} - {""}
    same_model = joined[joined["version"].isin(names)]
    versions = tuple(sorted(predicted["version"].unique()))
    why = not_again(counts, unreadable, versions, len(same_model), who)
    return ServedFacts(
        counts=counts,
        loss=realised_loss(joined, counts).loss,
        unreadable=unreadable,
        versions=versions,
        skew=tuple(feature_skew(joined)),
        again=None if why else rescoring_error(same_model, model.score),
        why=why,
        feedback=label_feedback(joined, reference, settings.compare),
    )
