"""A small model, and the folder that the stage `export` would make of it."""

from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
from sample import ROOT, adjusted

from delivery.core import params
from delivery.core.files import write_json
from delivery.pipeline import export
from delivery.stats import task
from problem import FEATURES, predict

TRAIN = adjusted(params.load(ROOT / "params.yaml").train, max_iter=30, learning_rate=0.2)
ONNX = params.Export(runtime="onnx", tolerance=1e-6, examples=24)


def write(model: Any, rows: pd.DataFrame, folder: Path, settings: params.Export = ONNX) -> None:
    """What the stage `export` writes, for this model and these rows."""
    folder.mkdir()
    some = export.with_gaps(rows)
    expected = predict(model, some[list(FEATURES)])
    about = {"buckets": task.buckets(expected)} | export.write_model(model, settings, folder)
    write_json(folder / "manifest.json", export.describe(model, rows) | about)
    export.refuse_mismatch(folder, some, expected, settings.tolerance)
    write_json(
        folder / "examples.json", msgspec.to_builtins(export.examples(some, expected, settings.examples)), exact=True
    )
