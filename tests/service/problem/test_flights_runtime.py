"""A linear model of the flights, served."""

from pathlib import Path

import numpy as np
import pandas as pd

from delivery.model import runtime
from problem import FEATURES, LABEL, Train, build


def test_a_model_without_trees_is_served_too(rows: pd.DataFrame, tmp_path: Path) -> None:
    """skl2onnx's graph: two columns of probabilities, in double precision all the way."""
    from small import write

    train = Train("logistic_regression", 7, 0.1, 200, 31, 20, 0.0, 1.0)
    model = build(train).fit(rows[list(FEATURES)], rows[LABEL])
    write(model, rows, tmp_path / "export")
    assert runtime.load(tmp_path / "export").dtype is np.float64
