"""What a column is taken for, and why one is left out."""

import numpy as np
import orders
import pandas as pd
import pytest

from delivery.core.errors import Failure
from delivery.fork.new import columns

NOTHING: dict[str, list[str]] = {name: [] for name in ("target", "time", "key", "segments", "drop", "keep")}


def found(frame: pd.DataFrame, task: str = "", **asked: list[str]) -> columns.Found:
    churned = {"target": ["Churned"]} if "Churned" in frame else {}
    return columns.classify(frame, {"sep": ","}, NOTHING | churned | asked, task)


def roles(result: columns.Found) -> dict[str, str]:
    return {column.raw: column.role for column in result.columns}


def test_every_column_has_a_role_and_a_reason() -> None:
    result = found(orders.rows())
    assert roles(result) == {
        "Churned": "target",
        "Ordered at": "time",
        "Order ID": "key",
        "2nd price (€)": "number",
        "class": "category",
        "Größe": "number",
        "score": "number",
        "note": "out",
        "constant": "out",
        "empty": "out",
        "minutes late": "out",
        "gift?": "number",
    }
    assert (result.task, result.classes, result.time_format) == ("binary", ("no", "yes"), "%d.%m.%Y %H:%M")
    assert all(column.why for column in result.columns)


def test_a_column_that_tells_the_target_alone_stays_out_unless_it_is_asked_for() -> None:
    (told,) = [column for column in found(orders.rows()).columns if column.raw == "minutes late"]
    assert "tells Churned alone" in told.why
    assert roles(found(orders.rows(), keep=["minutes late"]))["minutes late"] == "number"
    assert roles(found(orders.rows(), drop=["score"]))["score"] == "out"


@pytest.mark.parametrize(
    ("values", "task", "classes"),
    [
        (np.linspace(0, 1, 200), "regression", ()),
        (np.arange(200), "regression", ()),
        ([0, 1] * 100, "binary", ("0", "1")),
        ([True, False] * 100, "binary", ("False", "True")),
        (["often"] * 150 + ["rare"] * 50, "binary", ("often", "rare")),
        (["a"] * 50 + ["zero"] * 150, "binary", ("zero", "a")),
        ([1.0, 2.0, 10.0, np.nan] * 50, "multiclass", ("1", "2", "10")),
        (["b", "a", "c", "a"] * 50, "multiclass", ("a", "b", "c")),
    ],
)
def test_what_is_predicted_follows_from_the_target(values, task: str, classes: tuple) -> None:
    frame = pd.DataFrame({"x": np.random.default_rng(0).normal(size=200), "target": values})
    assert (found(frame).task, found(frame).classes) == (task, classes)


@pytest.mark.parametrize(
    ("name", "values", "says"),
    [
        ("Unnamed: 0", np.arange(1000), "counts the rows"),
        ("Booking No.", np.arange(1000) * 7 % 601, "identifies things by 601 numbers"),
        ("customerId", np.arange(1000) * 7 % 601, "identifies things by 601 numbers"),
        ("paid", [f"{number}%" for number in range(1000)], "numbers with signs, such as '0%'"),
        ("bought", [[1, 2]] * 1000, "lists; derive a number"),
        ("took", pd.to_timedelta(np.arange(1000), unit="h"), "spans of time; write them as a number"),
    ],
)
def test_what_says_nothing_of_a_new_row_stays_out_unless_it_is_kept(name: str, values, says: str) -> None:
    frame = pd.DataFrame({name: values, "x": np.random.default_rng(0).normal(size=1000), "target": [1, 2, 2, 1] * 250})
    (column,) = found(frame).of("out")
    assert column.raw == name
    assert column.why.startswith(says)
    whole = pd.api.types.is_integer_dtype(frame[name])
    assert roles(found(frame, keep=[name]))[name] == ("number" if whole else "out")


@pytest.mark.parametrize("name", ["PassengerId", "Order No.", "key"])
def test_a_column_that_names_each_row_is_the_key(name: str) -> None:
    frame = pd.DataFrame({name: np.arange(200), "x": np.random.default_rng(0).normal(size=200), "target": [1, 2] * 100})
    assert roles(found(frame))[name] == "key"


@pytest.mark.parametrize(("name", "times"), [("Casino", 3), ("store id", 9), ("rooms", 601)])
def test_numbers_that_mean_something_stay(name: str, times: int) -> None:
    frame = pd.DataFrame(
        {
            name: np.arange(1000) * 7 % times,
            "x": np.random.default_rng(0).normal(size=1000),
            "target": [1, 2, 2, 1] * 250,
        }
    )
    assert roles(found(frame))[name] == "number"


def test_a_task_may_be_asked_for() -> None:
    frame = pd.DataFrame({"x": np.random.default_rng(0).normal(size=200), "target": [1, 2, 3, 4] * 50})
    assert found(frame).task == "multiclass"
    assert found(frame, "regression").task == "regression"


@pytest.mark.parametrize(
    "written", ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%d.%m.%Y", "%m/%d/%Y %H:%M", "%m/%d/%y %I:%M %p"]
)
def test_times_are_found_however_they_are_written(written: str) -> None:
    when = pd.date_range("2024-01-01", periods=200, freq="D").strftime(written)
    frame = pd.DataFrame({"x": np.arange(200.0), "at": when, "target": np.arange(200.0) % 7})
    time = found(frame).one("time")
    assert time is not None
    assert time.raw == "at"


@pytest.mark.parametrize(
    ("frame", "asked", "says"),
    [
        (orders.rows(), {"target": ["nope"]}, "there is no column nope; the file has Order ID, Ordered at"),
        (orders.rows(), {"time": ["class"]}, "class holds no times in a known format"),
        (orders.rows(), {"key": ["class"]}, "class cannot be the key: .* repeated in 1496 rows, first row "),
        (
            orders.rows(),
            {"target": ["note"]},
            "note cannot be predicted: it has 1500 values, 'text 0' in 1 rows; .* join or",
        ),
        (
            orders.rows().assign(Churned=[f"{number} €" for number in range(1500)]),
            {},
            r"Churned cannot be predicted: it holds numbers with signs, such as '0 €'; write them as 1234\.5",
        ),
        (orders.rows()[["Order ID", "Churned"]], {}, r"no column is left to predict Churned from"),
    ],
)
def test_what_cannot_be_is_one_line(frame: pd.DataFrame, asked: dict, says: str) -> None:
    with pytest.raises(Failure, match=says) as failure:
        found(frame, **asked)
    assert "\n" not in str(failure.value)
