"""Build an unfitted scikit-learn pipeline from hyperparameters, and predict with a fitted one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta, Struct

from problem.features import FEATURES

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from sklearn.pipeline import Pipeline


class Train(Struct, frozen=True, forbid_unknown_fields=True):
    """The section `train` of params.yaml, with the default of each key."""

    model: Literal["hist_gradient_boosting", "logistic_regression", "dummy"] = "hist_gradient_boosting"
    """Kind of model. `dummy`, which learns nothing, needs `export.runtime: sklearn`."""
    seed: Annotated[int, Meta(ge=0)] = 7
    """Seed of everything random in the fit."""
    learning_rate: Annotated[float, Meta(gt=0, le=1)] = 0.05
    """hist_gradient_boosting: how much of each tree's correction is added."""
    max_iter: Annotated[int, Meta(ge=1)] = 100
    """hist_gradient_boosting: number of trees of each class; logistic_regression: most iterations of the solver."""
    max_leaf_nodes: Annotated[int, Meta(ge=2)] = 31
    """hist_gradient_boosting: most leaves of a tree."""
    min_samples_leaf: Annotated[int, Meta(ge=1)] = 20
    """hist_gradient_boosting: fewest training rows in a leaf."""
    C: Annotated[float, Meta(gt=0)] = 1.0
    """logistic_regression: inverse of the regularisation's strength."""


def build(params: Train) -> Pipeline:
    """Return an unfitted pipeline of two steps: `encode` (nothing to encode here) and `model`."""
    from sklearn.compose import ColumnTransformer
    from sklearn.dummy import DummyClassifier
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline, make_pipeline
    from sklearn.preprocessing import StandardScaler

    encode = ColumnTransformer([("number", "passthrough", list(FEATURES))])
    if params.model == "hist_gradient_boosting":
        model = HistGradientBoostingClassifier(
            learning_rate=params.learning_rate,
            max_iter=params.max_iter,
            max_leaf_nodes=params.max_leaf_nodes,
            min_samples_leaf=params.min_samples_leaf,
            early_stopping=False,
            random_state=params.seed,
        )
    elif params.model == "logistic_regression":
        model = make_pipeline(StandardScaler(), LogisticRegression(C=params.C, max_iter=params.max_iter))
    else:
        model = DummyClassifier(strategy="prior")
    return Pipeline([("encode", encode), ("model", model)])


def predict(model: Pipeline, rows: pd.DataFrame | np.ndarray) -> np.ndarray:
    """Return the probability of each digit, shape (n, 10)."""
    return model.predict_proba(rows)
