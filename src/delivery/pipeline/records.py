"""Record when a stage ran, for how long, who ran it, and with which libraries.

Each run's record is kept under the digests of its outputs, so that a model is never described by the run that made another.
"""

import importlib.metadata
import json
import platform
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from delivery.adapters import dvc
from delivery.adapters.provenance import executor, now
from delivery.core import workspace
from delivery.core.errors import Failure
from delivery.core.files import write_json

LIBRARIES = ("dvc", "mlflow", "numpy", "onnx", "onnxruntime", "pandas", "pyarrow", "scikit-learn", "skl2onnx", "skops")


class StageRecord(Struct, frozen=True):
    """The last successful run of a stage: when it started, how long it took, who ran it, and with which libraries."""

    stage: str
    started: str
    seconds: float
    executor: str
    python: str
    libraries: dict[str, str]


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Write the record of a stage once it has succeeded: as the last one, and under the digests of its outputs."""
    started, clock = now(), time.monotonic()
    yield
    record = StageRecord(
        stage=name,
        started=started,
        seconds=time.monotonic() - clock,
        executor=executor(),
        python=platform.python_version(),
        libraries={library: importlib.metadata.version(library) for library in LIBRARIES},
    )
    write_json(workspace.RECORDS / f"{name}.json", msgspec.to_builtins(record))
    if made := dvc.made(name):
        write_json(_path(name, made), msgspec.to_builtins(record))


def _path(name: str, outputs: Mapping[str, str]) -> Path:
    """Return the file of the record of a stage's run that made these outputs, paths to digests."""
    return workspace.RECORDS / "made" / f"{name}-{dvc.digest(json.dumps(outputs, sort_keys=True).encode())}.json"


def read() -> dict[str, StageRecord]:
    """Return the last record of each stage on this machine; a stage restored from DVC's cache has none.

    Raise `Failure` for a file that is not a record. Running the pipeline again would not replace it: DVC skips a stage
    that has not changed.
    """
    paths = sorted(Path(workspace.RECORDS).glob("*.json"))
    return {path.stem: _read(path) for path in paths}


def _read(path: Path) -> StageRecord:
    try:
        return msgspec.json.decode(path.read_bytes(), type=StageRecord)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Failure(f"{path} is no record of a stage ({error}); delete it") from None


def whole(lock: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return each stage of a dvc.lock with its parameters, the digests of its inputs and outputs, and its record.

    The record is of the run on this machine that made these outputs, not of a later one that made others. This is the
    content of records.json, one of a version's files. Raise `Failure` for a file that is not a record.
    """
    return {name: _entry(name, stage) for name, stage in lock["stages"].items()}


def _entry(name: str, stage: Mapping[str, Any]) -> dict[str, Any]:
    outputs = {out["path"]: out["md5"] for out in stage.get("outs", [])}
    path = _path(name, outputs)
    made = msgspec.to_builtins(_read(path)) if path.exists() else {"stage": name, "from": "DVC's cache"}
    return {
        "params": stage.get("params", {}),
        "inputs": {dep["path"]: dep["md5"] for dep in stage.get("deps", [])},
        "outputs": outputs,
        **made,
    }
