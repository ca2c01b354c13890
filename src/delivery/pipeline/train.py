"""Stage `train`: the training rows to a fitted pipeline, and how its loss fell."""

import warnings
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from delivery.compute import engine
from delivery.core import workspace
from delivery.core.errors import Failure
from delivery.core.files import replacing, write_json
from delivery.core.params import Params
from delivery.core.progress import progress
from delivery.data import prepared
from delivery.model import skopsfile
from delivery.stats import task
from problem import CLASSES, FEATURES, LABEL, PERIOD, PRIMARY, Train, build, losses, predict

CURVE_ROWS = 10_000


def run(params: Params) -> None:
    train, test = prepared.read("train"), prepared.read("test")
    model = engine.spread(partial(fit, train, params.train), params.engine)
    curves = {"train": curve(model, train), "test": curve(model, test)}
    refuse_infinite(curves, predict(model, test[list(FEATURES)]))
    with replacing(workspace.TRAINED) as folder:
        folder.mkdir()
        skopsfile.dump(model, folder / workspace.MODEL.name)
        write_json(folder / workspace.CONVERGENCE.name, curves)
    print(
        f"train: {params.train.model}, {PRIMARY} {curves['train'][0]:.4f} -> {curves['train'][-1]:.4f} on training rows"
    )


def fit(rows: pd.DataFrame, params: Train):
    """The pipeline of `problem.build`, fitted.

    Raises Failure when it does not converge, when a feature has no value at all, or a class no row.
    """
    from sklearn.exceptions import ConvergenceWarning

    refuse_empty(rows)
    with warnings.catch_warnings(), progress(f"fitting {params.model} to {len(rows):,} rows"):
        warnings.simplefilter("error", ConvergenceWarning)
        try:
            return build(params).fit(rows[list(FEATURES)], rows[LABEL])
        except ConvergenceWarning as warning:
            cause = str(warning).splitlines()[0]
            raise Failure(f"{params.model} did not converge ({cause}); raise train.max_iter") from None


def refuse_empty(rows: pd.DataFrame) -> None:
    """Raises Failure for a feature that is missing in every row, and for a class that none of them is of."""
    if absent := [name for name in FEATURES if rows[name].isna().all()]:
        raise Failure(
            f"feature {', '.join(absent)} is missing in all {len(rows):,} training rows: nothing can be learnt of it; "
            "mend the source, or take it out of FEATURES in src/problem/features.py"
        )
    seen = set(rows[LABEL].dropna())
    if unseen := [name for at, name in enumerate(CLASSES) if at not in seen]:
        raise Failure(
            f"class {', '.join(unseen)} has no row among the {len(rows):,} for training; fetch more, or take it out of "
            "CLASSES in src/problem/schema.py"
        )


def curve(model, rows: pd.DataFrame) -> list[float]:
    """Loss after each iteration on an even sample of the rows; one value where there are no iterations."""
    sample = rows.iloc[np.linspace(0, len(rows) - 1, min(len(rows), CURVE_ROWS)).astype(int)]
    features, y = sample[list(FEATURES)], sample[LABEL].to_numpy()
    last = model[-1]
    if hasattr(last, task.TASK.staged):
        stages = getattr(last, task.TASK.staged)(model[:-1].transform(features))
        return [mean_loss(y, stage[:, 1] if task.TASK.name == "binary" else stage) for stage in stages]
    return [mean_loss(y, predict(model, features))]


def mean_loss(y: np.ndarray, p: np.ndarray) -> float:
    return float(losses(y, p)[PRIMARY].mean())


def refuse_infinite(curves: dict[str, list[float]], predictions: np.ndarray) -> None:
    """Raises Failure on a loss or a prediction that is NaN or infinite."""
    for name, values in curves.items():
        bad = np.flatnonzero(~np.isfinite(values))
        if len(bad):
            raise Failure(
                f"the {name} loss is {values[bad[0]]} at iteration {bad[0] + 1}; lower train.learning_rate or look at the labels"
            )
    if predictions.shape != task.shape(len(predictions)):
        wanted = "one number a row" if len(task.shape(0)) == 1 else f"{len(CLASSES)} numbers a row, as CLASSES says"
        raise Failure(f"`predict` of src/problem/model.py gives {predictions.shape}, expected {wanted}")
    bad = np.flatnonzero(~np.isfinite(predictions.reshape(len(predictions), -1)).all(axis=1))
    if len(bad):
        raise Failure(f"{len(bad)} of {len(predictions)} predictions are NaN or infinite, first at test row {bad[0]}")


def fitted(examples: pd.DataFrame, month: str, settings: Params) -> Any:
    """A model of every labelled row before the month. Raises Failure when it cannot be trained."""
    rows = examples[(examples[PERIOD] < month) & examples[LABEL].notna()]
    try:
        model = fit(rows, settings.train)
        refuse_infinite({}, predict(model, rows[list(FEATURES)].head(1000)))
    except Failure as failure:
        raise Failure(f"the challenger for {month} could not be trained: {failure}") from None
    except (ValueError, TypeError, ArithmeticError, MemoryError) as error:
        cause = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise Failure(f"the challenger for {month} could not be trained: {cause}") from error
    return model


def labelled(examples: pd.DataFrame, month: str) -> pd.DataFrame:
    return examples[(examples[PERIOD] == month) & examples[LABEL].notna()].reset_index(drop=True)
