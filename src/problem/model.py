"""Build an unfitted scikit-learn pipeline from hyperparameters, and predict with a fitted one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta, Struct

from problem.features import FEATURES
from problem.schema import CATEGORIES

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import Pipeline


class Train(Struct, frozen=True, forbid_unknown_fields=True):
    """The section `train` of params.yaml, with the default of each key."""

    model: Literal["hist_gradient_boosting", "random_forest", "logistic_regression", "dummy"] = "hist_gradient_boosting"
    """Kind of model. `dummy`, which learns nothing, needs `export.runtime: sklearn`."""
    seed: Annotated[int, Meta(ge=0)] = 7
    """Seed of everything random in the fit."""
    learning_rate: Annotated[float, Meta(gt=0, le=1)] = 0.05
    """hist_gradient_boosting: how much of each tree's correction is added."""
    max_iter: Annotated[int, Meta(ge=1)] = 100
    """hist_gradient_boosting, random_forest: number of trees; logistic_regression: most iterations of the solver."""
    max_leaf_nodes: Annotated[int, Meta(ge=2)] = 31
    """hist_gradient_boosting, random_forest (some hundreds there): most leaves of a tree."""
    min_samples_leaf: Annotated[int, Meta(ge=1)] = 20
    """hist_gradient_boosting, random_forest: fewest training rows in a leaf."""
    l2_regularization: Annotated[float, Meta(ge=0)] = 0.0
    """hist_gradient_boosting: strength of the regularisation of leaf values."""
    C: Annotated[float, Meta(gt=0)] = 1.0
    """logistic_regression: inverse of the regularisation's strength."""


def build(params: Train) -> Pipeline:
    """Return an unfitted pipeline of two steps: `encode` (strings to numbers) and `model`.

    `encode` is an OrdinalEncoder over CATEGORIES, with unknown and missing values as NaN. `model`
    sees only numbers; it is the part that `export` converts to ONNX.
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.dummy import DummyClassifier
    from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline, make_pipeline
    from sklearn.preprocessing import OrdinalEncoder, StandardScaler

    nan = float("nan")
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=nan, encoded_missing_value=nan)
    numbers = [name for name in FEATURES if name not in CATEGORIES]
    encode = ColumnTransformer([("category", encoder, list(CATEGORIES)), ("number", "passthrough", numbers)])
    if params.model == "hist_gradient_boosting":
        model = HistGradientBoostingClassifier(
            learning_rate=params.learning_rate,
            max_iter=params.max_iter,
            max_leaf_nodes=params.max_leaf_nodes,
            min_samples_leaf=params.min_samples_leaf,
            l2_regularization=params.l2_regularization,
            early_stopping=False,
            random_state=params.seed,
        )
    elif params.model == "random_forest":  # the one model whose trees can grow in parallel on a cluster
        model = RandomForestClassifier(
            n_estimators=params.max_iter,
            max_leaf_nodes=params.max_leaf_nodes,
            min_samples_leaf=params.min_samples_leaf,
            random_state=params.seed,
        )
    elif params.model == "logistic_regression":
        model = make_pipeline(_one_hot(), StandardScaler(), LogisticRegression(C=params.C, max_iter=params.max_iter))
    else:
        model = DummyClassifier(strategy="prior")
    return Pipeline([("encode", encode), ("model", model)])


def predict(model: Pipeline, rows: pd.DataFrame | np.ndarray) -> np.ndarray:
    """Return the probability of a late arrival of each row, shape (n,)."""
    probabilities: np.ndarray = model.predict_proba(rows)[:, 1]
    return probabilities


def _one_hot() -> ColumnTransformer:
    """Return a transformer of category codes to indicators (none if unknown), and missing numbers to the median."""
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    codes = list(range(len(CATEGORIES)))
    numbers = list(range(len(CATEGORIES), len(FEATURES)))
    indicators = make_pipeline(
        SimpleImputer(strategy="constant", fill_value=-1.0),
        OneHotEncoder(handle_unknown="ignore", sparse_output=False),
    )
    filled = SimpleImputer(strategy="median")
    return ColumnTransformer([("category", indicators, codes), ("number", filled, numbers)])
