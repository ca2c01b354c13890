"""Stage `train`: the training rows to a fitted pipeline, and how its loss fell."""

import warnings

import numpy as np
import pandas as pd

from delivery import prepare, skopsfile
from delivery.errors import Failure
from delivery.files import ARTIFACTS, replacing, write_json
from delivery.params import Params
from delivery.progress import progress
from problem import FEATURES, LABEL, PRIMARY, Train, build, losses, predict

FOLDER = ARTIFACTS / "train"
MODEL = FOLDER / "model.skops"
CONVERGENCE = FOLDER / "convergence.json"
CURVE_ROWS = 10_000


def run(params: Params) -> None:
    train, test = prepare.read("train"), prepare.read("test")
    model = fit(train, params.train)
    curves = {"train": curve(model, train), "test": curve(model, test)}
    refuse_infinite(curves, predict(model, test[list(FEATURES)]))
    with replacing(FOLDER) as folder:
        folder.mkdir()
        skopsfile.dump(model, folder / MODEL.name)
        write_json(folder / CONVERGENCE.name, curves)
    print(
        f"train: {params.train.model}, {PRIMARY} {curves['train'][0]:.4f} -> {curves['train'][-1]:.4f} on training rows"
    )


def fit(rows: pd.DataFrame, params: Train):
    """The pipeline of `problem.build`, fitted. Raises Failure when it does not converge."""
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings(), progress(f"fitting {params.model} to {len(rows):,} rows"):
        warnings.simplefilter("error", ConvergenceWarning)
        try:
            return build(params).fit(rows[list(FEATURES)], rows[LABEL])
        except ConvergenceWarning as warning:
            cause = str(warning).splitlines()[0]
            raise Failure(f"{params.model} did not converge ({cause}); raise train.max_iter") from None


def curve(model, rows: pd.DataFrame) -> list[float]:
    """Loss after each iteration on an even sample of the rows; one value where there are no iterations."""
    sample = rows.iloc[np.linspace(0, len(rows) - 1, min(len(rows), CURVE_ROWS)).astype(int)]
    features, y = sample[list(FEATURES)], sample[LABEL].to_numpy()
    last = model[-1]
    if hasattr(last, "staged_predict_proba"):
        encoded = model[:-1].transform(features)
        return [mean_loss(y, stage[:, 1]) for stage in last.staged_predict_proba(encoded)]
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
    bad = np.flatnonzero(~np.isfinite(predictions))
    if len(bad):
        raise Failure(f"{len(bad)} of {len(predictions)} predictions are NaN or infinite, first at test row {bad[0]}")
