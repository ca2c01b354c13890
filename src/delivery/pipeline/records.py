"""Record when a stage ran, for how long, who ran it, and with which libraries."""

import importlib.metadata
import platform
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

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
    """Write the record of a stage once it has succeeded. It holds no digests: DVC writes them to dvc.lock."""
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

    This is the content of records.json, one of a version's files.
    """
    recorded = {name: msgspec.to_builtins(record) for name, record in read().items()}
    return {
        name: {
            "params": stage.get("params", {}),
            "inputs": {dep["path"]: dep["md5"] for dep in stage.get("deps", [])},
            "outputs": {out["path"]: out["md5"] for out in stage.get("outs", [])},
            **recorded.get(name, {"stage": name, "from": "DVC's cache"}),
        }
        for name, stage in lock["stages"].items()
    }
