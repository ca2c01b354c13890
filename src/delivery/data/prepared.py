"""Read the rows that the stage `prepare` has written."""

import pandas as pd

from delivery.core import workspace
from delivery.core.errors import Failure


def read(name: str) -> pd.DataFrame:
    """Return the rows called `name`, "train" or "test". Raise `Failure` if the stage has not run."""
    path = workspace.PREPARED / f"{name}.parquet"
    if not path.exists():
        raise Failure(f"{path} is missing; run `dvc repro`")
    return pd.read_parquet(path)
