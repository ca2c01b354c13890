"""A small exported model, made once of real rows, and services that answer with it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from live import Service, serving
from sample import once
from small import TRAIN, write

from delivery.model import skopsfile
from delivery.service.access import Tokens
from delivery.service.app import About, App
from delivery.service.predict import Limits
from problem import FEATURES, LABEL, build, table


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory, raw: dict[str, pd.DataFrame]) -> Path:
    """A folder with the fitted pipeline `model.skops`, its `rows.parquet` and the exported model `export/`."""

    def make(folder: Path) -> None:
        rows = table(raw)
        rows = rows[rows[LABEL].notna()].iloc[::5].reset_index(drop=True)
        model = build(TRAIN).fit(rows[list(FEATURES)], rows[LABEL])
        skopsfile.dump(model, folder / "model.skops")
        rows.to_parquet(folder / "rows.parquet")
        write(model, rows, folder / "export")

    return once(tmp_path_factory, "served", make)


@pytest.fixture(scope="session")
def exported(made: Path) -> Path:
    return made / "export"


@pytest.fixture(scope="session")
def pipeline(made: Path) -> Any:
    """The fitted scikit-learn pipeline that `exported` was made of."""
    return skopsfile.load(made / "model.skops")


@pytest.fixture(scope="session")
def rows(made: Path) -> pd.DataFrame:
    return pd.read_parquet(made / "rows.parquet")


@pytest.fixture(scope="session")
def encoded(pipeline: Any, rows: pd.DataFrame) -> np.ndarray:
    """The rows as the last step of the pipeline sees them."""
    return pipeline[:1].transform(rows[list(FEATURES)])


@pytest.fixture(scope="session")
def examples(exported: Path) -> list[dict[str, Any]]:
    return json.loads((exported / "examples.json").read_text())


@pytest.fixture
def good(examples: list[dict[str, Any]]) -> dict[str, Any]:
    """One request that is in order, every field given, every category known."""
    known = [example["request"] for example in examples[4:]]  # the first four have gaps and unknown categories
    return next(dict(request) for request in known if len(request) == max(map(len, known)))


@pytest.fixture
def app(exported: Path) -> App:
    return App(exported, About("v7", "c0ffee", "da7a"), Limits(max_rows=50, max_bytes=20_000), Tokens())


@pytest.fixture(scope="session")
def service(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service for the tests that only ask."""
    with serving(exported, "--version", "7", "--log", str(tmp_path_factory.mktemp("log"))) as running:
        yield running
