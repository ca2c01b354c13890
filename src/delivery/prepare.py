"""Stage `prepare`: raw tables to training and test rows, split by time, nothing from the future."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from delivery import tables, task
from delivery.errors import Failure
from delivery.files import ARTIFACTS, replacing
from delivery.params import Params
from problem import FEATURES, KEY, LABEL, PERIOD, TIME, known, table

FOLDER = ARTIFACTS / "prepare"
MOMENTS = 12  # looked back from, to see that no feature knows the future


def run(params: Params) -> None:
    raw = tables.read(params.fetch.until)
    examples = table(raw)
    refuse_leaks(raw, examples)
    train, test = split(examples, params.prepare.test_periods)
    with replacing(FOLDER) as folder:
        folder.mkdir()
        train.to_parquet(folder / "train.parquet", index=False)
        test.to_parquet(folder / "test.parquet", index=False)
    for name, rows in (("train", train), ("test", test)):
        span = f"{rows[PERIOD].min()} to {rows[PERIOD].max()}"
        print(f"prepare: {len(rows):,} {name} rows, {span}, {task.worded(task.level(rows[LABEL].to_numpy(float)))}")


def read(name: str) -> pd.DataFrame:
    """Rows `train` or `test`. Raises Failure when the stage has not run."""
    path = FOLDER / f"{name}.parquet"
    if not path.exists():
        raise Failure(f"{path} is missing; run `dvc repro`")
    return pd.read_parquet(path)


def split(examples: pd.DataFrame, test_periods: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Labelled rows: the newest `test_periods` periods are for the test, all before for training."""
    labelled = examples.dropna(subset=[LABEL])
    if len(wrong := task.impossible(labelled[LABEL].to_numpy(float))):
        raise Failure(
            f"{LABEL} is {wrong[0]:g} in {len(wrong):,} row(s), expected {task.TASK.labels}; mend `table` in src/problem/features.py"
        )
    periods = sorted(labelled[PERIOD].unique())
    if len(periods) <= test_periods:
        raise Failure(
            f"prepare.test_periods is {test_periods} and the data hold {len(periods)} period(s) with labels: "
            "none is left to train on; lower it or fetch more"
        )
    first = periods[-test_periods]
    train, test = labelled[labelled[PERIOD] < first], labelled[labelled[PERIOD] >= first]
    return train.reset_index(drop=True), test.reset_index(drop=True)


def refuse_leaks(raw: Mapping[str, pd.DataFrame], examples: pd.DataFrame) -> None:
    """Raises Failure when a feature changes once everything later than its prediction is hidden.

    At moments spread over the data, the features of the hour's examples are computed again from
    the tables as they stood then (`problem.known`); what differs has seen the future.
    """
    hour = examples[TIME].dt.floor("h")
    hours = np.sort(hour.unique())
    chosen = hours[np.linspace(len(hours) * 0.05, len(hours) - 1, MOMENTS).astype(int)]
    for moment in pd.DatetimeIndex(chosen):
        then = table(known(raw, moment.to_pydatetime()))
        before = then[then[TIME].dt.floor("h") == moment]
        after = examples[hour == moment]
        leaked = differing(*(rows.set_index(list(KEY), drop=False) for rows in (before, after)))
        if leaked:
            raise Failure(
                f"feature {', '.join(leaked)} is not known at prediction time: for {len(after)} rows of {moment} it "
                "changes once later data are hidden; mend src/problem/features.py"
            )


def differing(before: pd.DataFrame, after: pd.DataFrame) -> list[str]:
    """The features whose values are not the same in both; rows are matched by index."""
    before = before.reindex(after.index)
    return [name for name in FEATURES if not before[name].equals(after[name])]
