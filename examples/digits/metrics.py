"""The metrics: how good a set of predictions is, which number leads, which way is better."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

PRIMARY = "log_loss"
HIGHER_IS_BETTER = {"log_loss": False, "error_rate": False, "f1": True}


def losses(y: np.ndarray, p: np.ndarray) -> dict[str, np.ndarray]:
    """Loss of each row, shape (n,), for the metrics that are means over rows; PRIMARY is one."""
    import numpy as np

    right = np.clip(p[np.arange(len(y)), y.astype(int)], 1e-15, 1)
    return {"log_loss": -np.log(right), "error_rate": (p.argmax(axis=1) != y).astype(float)}


def score(y: np.ndarray, p: np.ndarray, weight: np.ndarray | None = None) -> dict[str, float]:
    """Every metric of HIGHER_IS_BETTER over all rows, each row counted `weight` times."""
    import numpy as np
    from sklearn.metrics import f1_score

    out = {name: float(np.average(loss, weights=weight)) for name, loss in losses(y, p).items()}
    f1 = f1_score(y, p.argmax(axis=1), average="macro", sample_weight=weight, zero_division=0.0)
    return out | {"f1": float(f1)}
