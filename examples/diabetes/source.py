"""Fetch the data: the 442 patients of Efron et al. (2004) that come with scikit-learn, given dates in the order of the file.

The study has no dates. Here eight patients come on a day, so that weeks can be split, compared and watched for drift.
"""

from datetime import date, timedelta
from pathlib import Path

FIRST = date(2024, 1, 1)  # a Monday
A_DAY = 8  # patients
COLUMNS = (
    "age",
    "sex",
    "bmi",
    "blood_pressure",
    "cholesterol",
    "ldl",
    "hdl",
    "cholesterol_to_hdl",
    "triglycerides",
    "glucose",
)


def periods() -> list[str]:
    """Return the whole weeks that the source has, oldest first."""
    return [f"2024-W{week:02d}" for week in range(1, 8)]


def fetch(folder: Path, until: str, cache: Path) -> None:  # noqa: ARG001  nothing is downloaded
    """Write the patients week by week up to and including `until`, as parquet."""
    import pandas as pd
    from sklearn.datasets import load_diabetes

    values, progression = load_diabetes(return_X_y=True, scaled=False)
    frame = pd.DataFrame(values, columns=list(COLUMNS))
    frame["sex"] = frame["sex"].map({1.0: "1", 2.0: "2"}).astype("str")
    frame.insert(0, "patient", range(len(frame)))
    days = [FIRST + timedelta(days=number // A_DAY) for number in frame["patient"]]
    frame.insert(1, "visited", pd.to_datetime(days, utc=True).as_unit("us"))
    frame["progression"] = progression
    (folder / "patients").mkdir(parents=True)
    for week, rows in frame.groupby([f"{day:%G-W%V}" for day in days]):
        if week in periods() and str(week) <= until:
            path = folder / "patients" / f"{week}.parquet"
            rows.reset_index(drop=True).to_parquet(path, index=False, compression="zstd")
