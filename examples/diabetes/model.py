"""Build an unfitted scikit-learn pipeline from hyperparameters, and predict with a fitted one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta, Struct

from problem.features import FEATURES
from problem.schema import CATEGORIES

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from sklearn.pipeline import Pipeline


class Train(Struct, frozen=True, forbid_unknown_fields=True):
    """The section `train` of params.yaml, with the default of each key."""

    model: Literal["hist_gradient_boosting", "ridge", "dummy"] = "hist_gradient_boosting"
    """Kind of model. `dummy`, which learns nothing, needs `export.runtime: sklearn`."""
    seed: Annotated[int, Meta(ge=0)] = 7
    """Seed of everything random in the fit."""
    learning_rate: Annotated[float, Meta(gt=0, le=1)] = 0.05
    """hist_gradient_boosting: how much of each tree's correction is added."""
    max_iter: Annotated[int, Meta(ge=1)] = 100
    """hist_gradient_boosting: number of trees."""
    max_leaf_nodes: Annotated[int, Meta(ge=2)] = 31
    """hist_gradient_boosting: most leaves of a tree."""
    min_samples_leaf: Annotated[int, Meta(ge=1)] = 20
    """hist_gradient_boosting: fewest training rows in a leaf."""
    alpha: Annotated[float, Meta(gt=0)] = 1.0
    """ridge: strength of the regularisation."""


def build(params: Train) -> Pipeline:
    """Return an unfitted pipeline of two steps: `encode` (strings to numbers) and `model`."""
    from sklearn.compose import ColumnTransformer
    from sklearn.dummy import DummyRegressor
    from sklearn.ensemble import HistGradientBoostingRegressor
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import Pipeline, make_pipeline
    from sklearn.preprocessing import OrdinalEncoder, StandardScaler

    nan = float("nan")
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=nan, encoded_missing_value=nan)
    numbers = [name for name in FEATURES if name not in CATEGORIES]
    encode = ColumnTransformer([("category", encoder, list(CATEGORIES)), ("number", "passthrough", numbers)])
    if params.model == "hist_gradient_boosting":
        model = HistGradientBoostingRegressor(
            learning_rate=params.learning_rate,
            max_iter=params.max_iter,
            max_leaf_nodes=params.max_leaf_nodes,
            min_samples_leaf=params.min_samples_leaf,
            early_stopping=False,
            random_state=params.seed,
        )
    elif params.model == "ridge":
        model = make_pipeline(SimpleImputer(strategy="median"), StandardScaler(), Ridge(alpha=params.alpha))
    else:
        model = DummyRegressor()
    return Pipeline([("encode", encode), ("model", model)])


def predict(model: Pipeline, rows: pd.DataFrame | np.ndarray) -> np.ndarray:
    """Return the progression of each row, shape (n,)."""
    return model.predict(rows)
