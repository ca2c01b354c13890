"""What differs by rounding is told from another result, in every form of file that a stage writes."""

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
from onnx import helper, numpy_helper
from sklearn.pipeline import Pipeline

from delivery.ci.alike import alike, same
from delivery.model import skopsfile

NEAR, FAR = 0.3 + 1e-13, 0.3 + 1e-4


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (0.3, NEAR, True),
        (0.3, FAR, False),
        (float("nan"), float("nan"), True),
        (float("nan"), 0.3, False),
        (1, 1.0, False),
        (1_000_000, 1_000_001, False),
        ("0.3", "0.30", False),
        ({"a": [0.3]}, {"a": [NEAR]}, True),
        ({"a": 0.3}, {"b": 0.3}, False),
        ([0.3], [0.3, 0.3], False),
        ((0.3, "x"), (NEAR, "y"), False),
        ({"sha256": "a", "p": 0.3}, {"sha256": "b", "p": 0.3}, True),
        (np.array([0.3, np.nan]), np.array([NEAR, np.nan]), True),
        (np.array([0.3]), np.array([FAR]), False),
        (np.array([0.3]), np.array([[0.3]]), False),
        (np.array([1]), np.array([1.0]), False),
        (np.array([1, 2]), np.array([1, 3]), False),
        (np.array(["a", 0.3], dtype=object), np.array(["a", NEAR], dtype=object), True),
        (np.array([(1, 0.3)], dtype="i4, f8"), np.array([(1, NEAR)], dtype="i4, f8"), True),
        (np.array([(1, 0.3)], dtype="i4, f8"), np.array([(2, 0.3)], dtype="i4, f8"), False),
    ],
)
def test_values_are_the_same_up_to_rounding(one: Any, other: Any, expected: bool) -> None:
    assert same(one, other) is expected


def network(path: Path, weight: float, step: float = 0.5) -> None:
    tensor = numpy_helper.from_array(np.array([weight]), "w")
    node = helper.make_node("Elu", ["w"], ["y"], alpha=step)
    value = helper.make_tensor_value_info("y", onnx.TensorProto.DOUBLE, [1])
    onnx.save(helper.make_model(helper.make_graph([node], "g", [], [value], [tensor])), path)


def write(folder: Path, name: str, value: float) -> Path:
    """A file of this form that holds the number."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".json":
        path.write_text(json.dumps({"rows": [{"p": value}]}))
    elif path.suffix == ".parquet":
        pd.DataFrame({"key": ["a"], "p": [value], "classes": [np.array([value, 1.0])]}).to_parquet(path)
    elif path.suffix == ".onnx":
        network(path, value)
    else:
        path.write_text(str(value))
    return path


@pytest.mark.parametrize("name", ["m.json", "p.parquet", "m.onnx"])
def test_files_are_compared_by_what_they_hold(name: str, folder: Path) -> None:
    claimed, near, far = (
        write(folder / str(value), name, value).parent for value in (0.3, NEAR, FAR)
    )  # each in a folder
    assert alike(claimed, near)
    assert not alike(claimed, far)
    assert (claimed / name).read_bytes() != (near / name).read_bytes()


def test_another_attribute_of_a_node_is_another_model(folder: Path) -> None:
    network(folder / "a.onnx", 0.3)
    network(folder / "b.onnx", 0.3, step=0.75)
    assert not alike(folder / "a.onnx", folder / "b.onnx")


def test_a_form_that_is_not_known_has_to_have_the_same_bytes(folder: Path) -> None:
    one, other = write(folder / "a", "model.txt", 0.3), write(folder / "b", "model.txt", NEAR)
    assert not alike(one, other)
    other.write_bytes(one.read_bytes())
    assert alike(one, other)


def test_a_file_that_is_missing_or_cannot_be_read_is_not_the_same(folder: Path) -> None:
    one = write(folder / "a", "m.json", 0.3)
    assert not alike(one.parent, folder / "none")
    other = write(folder / "b", "m.json", 0.3)
    write(folder / "b", "more.json", 0.3)
    assert not alike(one.parent, other.parent)
    other.write_text("{")
    assert not alike(one, other)


def test_a_model_is_compared_by_its_schema_and_its_arrays(model: Pipeline, folder: Path) -> None:
    skopsfile.dump(model, folder / "model.skops")

    def changed(name: str, factor: float) -> Path:
        """The model with its arrays of numbers multiplied."""
        with zipfile.ZipFile(folder / "model.skops") as old, zipfile.ZipFile(folder / name, "w") as new:
            for entry in old.namelist():
                content = old.read(entry)
                if entry.endswith(".npy"):
                    with old.open(entry) as file:
                        values = np.load(file)
                    if values.dtype.kind == "f" and values.size:
                        with new.open(entry, "w") as file:
                            np.save(file, values * factor)
                        continue
                new.writestr(entry, content)
        return folder / name

    assert alike(folder / "model.skops", changed("near.skops", 1 + 1e-13))
    assert not alike(folder / "model.skops", changed("far.skops", 1.5))
