"""Record when a stage ran, for how long, who ran it, and with which libraries."""

import importlib.metadata
import json
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from delivery.adapters.provenance import executor, now
from delivery.core import workspace
from delivery.core.files import write_json

LIBRARIES = ("dvc", "mlflow", "numpy", "onnx", "onnxruntime", "pandas", "pyarrow", "scikit-learn", "skl2onnx", "skops")


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Write the record of a stage once it has succeeded. It holds no digests: DVC writes them to dvc.lock."""
    started, clock = now(), time.monotonic()
    yield
    record = {
        "stage": name,
        "started": started,
        "seconds": time.monotonic() - clock,
        "executor": executor(),
        "python": platform.python_version(),
        "libraries": {library: importlib.metadata.version(library) for library in LIBRARIES},
    }
    write_json(workspace.RECORDS / f"{name}.json", record)


def read() -> dict[str, dict]:
    """Return the last record of each stage on this machine; a stage restored from DVC's cache has none."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(Path(workspace.RECORDS).glob("*.json"))}


def whole(lock: dict) -> dict[str, dict]:
    """Return each stage of a dvc.lock with its parameters, the digests of its inputs and outputs, and its record."""
    recorded = read()
    return {
        name: {
            "params": stage.get("params", {}),
            "inputs": {dep["path"]: dep["md5"] for dep in stage.get("deps", [])},
            "outputs": {out["path"]: out["md5"] for out in stage.get("outs", [])},
            **recorded.get(name, {"stage": name, "from": "DVC's cache"}),
        }
        for name, stage in lock["stages"].items()
    }
