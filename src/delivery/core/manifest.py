"""The two documents next to an exported model, as `export` writes them: manifest.json and examples.json."""

from math import inf
from typing import Any, Literal

from msgspec import Struct

Prediction = float | list[float]  # a list has a probability for each class


class Manifest(Struct, frozen=True):
    """The model file and how its inputs are encoded."""

    features: list[str]
    columns: list[str]  # the order of the encoded inputs
    categories: dict[str, dict[str, float]]  # the code of each known value; any other value becomes NaN
    runtime: Literal["onnx", "sklearn"]
    model: str
    sha256: str
    output: str = ""
    index: int = 0  # the column of the output that is the score, unless there are more than two classes
    classes: list[str] = []  # empty if a number is predicted; with two the score is the probability of the second
    buckets: list[float] = []  # bounds of the histogram of scores
    parity: float = inf  # largest difference of a score from scikit-learn's that `export` measured
    tolerance: float = 1e-6  # the difference that is allowed
    trained_on: list[str] = []
    libraries: dict[str, str] = {}


class Example(Struct, frozen=True):
    """A known row: the request for it, and its prediction."""

    request: dict[str, Any]
    prediction: Prediction
