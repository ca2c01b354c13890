"""Stage `train`: fit the pipeline to the training rows and record its learning curve."""

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

CURVE_ROWS = 10_000  # rows at most that a learning curve is computed on


def run(params: Params) -> None:
    """Fit the model, check its losses and predictions, and write it with its learning curves."""
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


def fit(rows: pd.DataFrame, params: Train) -> Any:
    """Return the pipeline of `problem.build`, fitted to the rows.

    Raise `Failure` if it does not converge, a feature is missing in every row, or a class has no row.
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
    """Raise `Failure` if a feature is missing in every row, or a class has no row."""
    if absent := [name for name in FEATURES if rows[name].isna().all()]:
        raise Failure(
            f"feature {', '.join(absent)} is missing in all {len(rows):,} training rows, so that nothing can be learnt "
            "from it; fix the source, or remove it from FEATURES in src/problem/features.py"
        )
    seen = set(rows[LABEL].dropna())
    if unseen := [name for at, name in enumerate(CLASSES) if at not in seen]:
        raise Failure(
            f"class {', '.join(unseen)} has none of the {len(rows):,} training rows; fetch more, or remove it from "
            "CLASSES in src/problem/schema.py"
        )


def curve(model: Any, rows: pd.DataFrame) -> list[float]:
    """Return the loss after each iteration on at most CURVE_ROWS evenly spaced rows; one value if there are no iterations."""
    sample = rows.iloc[np.linspace(0, len(rows) - 1, min(len(rows), CURVE_ROWS)).astype(int)]
    features, y = sample[list(FEATURES)], sample[LABEL].to_numpy()
    last = model[-1]
    if hasattr(last, task.TASK.staged):
        stages = getattr(last, task.TASK.staged)(model[:-1].transform(features))
        return [mean_loss(y, stage[:, 1] if task.TASK.name == "binary" else stage) for stage in stages]
    return [mean_loss(y, predict(model, features))]


def mean_loss(y: np.ndarray, p: np.ndarray) -> float:
    """Return the primary loss of predictions `p` for labels `y`, averaged over rows."""
    return float(losses(y, p)[PRIMARY].mean())


def refuse_infinite(curves: dict[str, list[float]], predictions: np.ndarray) -> None:
    """Raise `Failure` if a loss or a prediction is NaN or infinite, or the predictions have the wrong shape."""
    for name, values in curves.items():
        bad = np.flatnonzero(~np.isfinite(values))
        if len(bad):
            raise Failure(
                f"the {name} loss is {values[bad[0]]} at iteration {bad[0] + 1}; lower train.learning_rate or look at the labels"
            )
    if predictions.shape != task.shape(len(predictions)):
        wanted = "one number per row" if len(task.shape(0)) == 1 else f"{len(CLASSES)} numbers per row, one per class"
        raise Failure(f"`predict` of src/problem/model.py returns shape {predictions.shape}, expected {wanted}")
    bad = np.flatnonzero(~np.isfinite(predictions.reshape(len(predictions), -1)).all(axis=1))
    if len(bad):
        raise Failure(f"{len(bad)} of {len(predictions)} predictions are NaN or infinite, first at test row {bad[0]}")


def fitted(examples: pd.DataFrame, period: str, settings: Params) -> Any:
    """Return a model fitted to every labelled row before the period. Raise `Failure` if it cannot be trained."""
    rows = examples[(examples[PERIOD] < period) & examples[LABEL].notna()]
    try:
        model = fit(rows, settings.train)
        refuse_infinite({}, predict(model, rows[list(FEATURES)].head(1000)))
    except Failure as failure:
        raise Failure(f"the challenger for {period} could not be trained: {failure}") from None
    except (ValueError, TypeError, ArithmeticError, MemoryError) as error:
        cause = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise Failure(f"the challenger for {period} could not be trained: {cause}") from error
    return model


def labelled(examples: pd.DataFrame, period: str) -> pd.DataFrame:
    """Return the labelled rows of the period."""
    return examples[(examples[PERIOD] == period) & examples[LABEL].notna()].reset_index(drop=True)
