"""Compute the metrics, and say which one is primary and which direction is better."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

PRIMARY = "log_loss"
HIGHER_IS_BETTER = {"log_loss": False, "brier": False, "auc": True, "average_precision": True}


def losses(y: np.ndarray, p: np.ndarray) -> dict[str, np.ndarray]:
    """Return the loss of each row, shape (n,), for each metric that is a mean over rows; PRIMARY is one of them."""
    import numpy as np

    safe = np.clip(p, 1e-15, 1 - 1e-15)
    return {"log_loss": -np.log(np.where(y == 1, safe, 1 - safe)), "brier": (p - y) ** 2}


def score(y: np.ndarray, p: np.ndarray, weight: np.ndarray | None = None) -> dict[str, float]:
    """Return every metric of HIGHER_IS_BETTER over all rows; `weight`, shape (n,), says how often each row counts."""
    import numpy as np
    from sklearn.metrics import average_precision_score, roc_auc_score

    out = {name: float(np.average(loss, weights=weight)) for name, loss in losses(y, p).items()}
    out["auc"] = float(roc_auc_score(y, p, sample_weight=weight))
    out["average_precision"] = float(average_precision_score(y, p, sample_weight=weight))
    return out
