"""Fetch the data: the 1,797 handwritten digits that come with scikit-learn, at 4 x 4 pixels, dated in the order of the file.

The digits have no dates. Here ten are written on a day, so that months can be split, compared and watched for drift.
"""

from datetime import date, timedelta
from pathlib import Path

from problem.schema import PIXELS

FIRST = date(2024, 1, 1)
A_DAY = 10  # digits


def periods() -> list[str]:
    """Return the months that the source has, oldest first."""
    return [f"2024-{month:02d}" for month in range(1, 7)]


def fetch(folder: Path, until: str, cache: Path) -> None:  # noqa: ARG001  nothing is downloaded
    """Write the digits month by month up to and including `until`, as parquet."""
    import pandas as pd
    from sklearn.datasets import load_digits

    images, digits = load_digits(return_X_y=True)
    small = images.reshape(-1, 4, 2, 4, 2).mean(axis=(2, 4)).reshape(-1, len(PIXELS))
    frame = pd.DataFrame(small, columns=list(PIXELS))
    frame.insert(0, "number", range(len(frame)))
    days = [FIRST + timedelta(days=number // A_DAY) for number in frame["number"]]
    frame.insert(1, "written", pd.to_datetime(days, utc=True).as_unit("us"))
    frame["digit"] = digits.astype("int64")
    (folder / "digits").mkdir(parents=True)
    for month, rows in frame.groupby([f"{day:%Y-%m}" for day in days]):
        if str(month) <= until:
            path = folder / "digits" / f"{month}.parquet"
            rows.reset_index(drop=True).to_parquet(path, index=False, compression="zstd")
