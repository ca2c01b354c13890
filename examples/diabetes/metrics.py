"""The metrics: how good a set of predictions is, which number leads, which way is better."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

PRIMARY = "absolute_error"
HIGHER_IS_BETTER = {"absolute_error": False, "squared_error": False, "r2": True}


def losses(y: np.ndarray, p: np.ndarray) -> dict[str, np.ndarray]:
    """Loss of each row, shape (n,), for the metrics that are means over rows; PRIMARY is one."""
    return {"absolute_error": abs(p - y), "squared_error": (p - y) ** 2}


def score(y: np.ndarray, p: np.ndarray, weight: np.ndarray | None = None) -> dict[str, float]:
    """Every metric of HIGHER_IS_BETTER over all rows, each row counted `weight` times."""
    import numpy as np
    from sklearn.metrics import r2_score

    out = {name: float(np.average(loss, weights=weight)) for name, loss in losses(y, p).items()}
    return out | {"r2": float(r2_score(y, p, sample_weight=weight))}
