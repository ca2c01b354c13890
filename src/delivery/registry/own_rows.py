"""Predict with a model and the `problem` that is first on the path: an older version's, in the process that `own_code` starts.

It reads what it is asked as JSON from standard input. The periods are those whose files are there, because an older source
may not know of the newest ones.
"""

import sys
from pathlib import Path

from msgspec import Struct


class Asked(Struct, frozen=True):
    """The model, the folder of raw data up to the period `newest`, the engine, the periods that are wanted, the result's file."""

    model: str
    data: str
    newest: str
    engine: str
    only: tuple[str, ...]
    to: str


def main() -> None:
    """Write the predictions, and a hash of each row's keys and features, to the file that is asked for."""
    import msgspec
    import pandas as pd

    import problem

    asked = msgspec.json.decode(sys.stdin.buffer.read(), type=Asked)
    folder = Path(asked.data)
    stems = sorted({path.stem for path in folder.glob("*/*.parquet")})
    problem.periods = lambda: stems  # before the modules that take it from there are imported

    from delivery.data import windows
    from delivery.model import skopsfile
    from delivery.stats import predictions

    model = skopsfile.load(Path(asked.model))
    parts = []
    for window in windows.cut(asked.newest, asked.engine, folder):
        rows = windows.features(window)
        if asked.only:
            rows = rows[rows[problem.PERIOD].isin(asked.only)].reset_index(drop=True)
        if rows.empty:
            continue
        columns = list(dict.fromkeys([*problem.KEY, *problem.FEATURES]))
        scores = problem.predict(model, rows[list(problem.FEATURES)])
        hashes = pd.util.hash_pandas_object(rows[columns], index=False).to_numpy()
        parts.append(predictions.predictions(rows, scores).assign(hash=hashes))
    empty = pd.DataFrame({name: [] for name in (*problem.KEY, predictions.PREDICTION, "hash")})
    pd.concat(parts or [empty], ignore_index=True).to_parquet(asked.to, index=False)


if __name__ == "__main__":
    try:
        main()
    except Exception as error:  # the caller reads the last line
        sys.exit(f"{type(error).__name__}: {' '.join(str(error).split())}"[:300])
