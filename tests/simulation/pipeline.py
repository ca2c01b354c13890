"""A pipeline of three stages that takes milliseconds, and what DVC does with it: results are named by their content."""

import hashlib
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from delivery.adapters import dvc
from delivery.core import workspace
from simulation import ROOT, periods

LOW, RANGE = 0.58, 0.3  # of the AUC; one of fifteen models is below the gate's minimum of 0.6
GOOD = 1_000_000  # and more: settings that give a good model with any data
UNTOUCHED = yaml.safe_load((ROOT / workspace.PARAMS).read_text())["train"]["learning_rate"]
STAGES = ("train", "export", "evaluate")
DEPENDENCIES = {"train": (), "export": ("artifacts/train",), "evaluate": ("artifacts/export",)}
METRICS = json.loads((ROOT / workspace.METRICS).read_text())


def quality(dial: Any, data: str) -> float:
    """The AUC of the model that these settings and data give."""
    if float(str(dial).partition("/")[0]) >= GOOD:
        return LOW + RANGE
    digest = hashlib.sha256(f"{dial} {data}".encode()).digest()
    return round(LOW + RANGE * int.from_bytes(digest[:4], "big") / 2**32, 4)


def dial(text: str = "") -> Any:
    """What decides the quality, from a params.yaml: one setting; and another one, where somebody has changed that."""
    train = yaml.safe_load(text or workspace.PARAMS.read_text())["train"]
    first, second = train["l2_regularization"], train["learning_rate"]
    return first if second == UNTOUCHED else f"{first}/{second}"


def train() -> dict[str, str]:
    return {"model.skops": f"{dial()} {dvc.data_digest()}"}


def export() -> dict[str, str]:
    model = workspace.MODEL.read_text()
    manifest = {
        "features": [], "columns": [], "categories": {}, "runtime": "onnx", "model": "model.onnx",
        "sha256": hashlib.sha256(model.encode()).hexdigest(),
    }  # fmt: skip
    return {"model.onnx": model, "manifest.json": json.dumps(manifest), "examples.json": "[]"}


def evaluate() -> dict[str, str]:
    model = (workspace.EXPORT / "model.onnx").read_text()
    auc = quality(*model.split(" "))
    metrics = METRICS | {"metrics": METRICS["metrics"] | {"auc": {"value": auc, "low": auc, "high": auc}}}
    workspace.REPORTS.mkdir(exist_ok=True)
    workspace.METRICS.write_text(json.dumps(metrics, indent=1, sort_keys=True) + "\n")
    return {"predictions.parquet": model}


RUN: dict[str, Callable[[], dict[str, str]]] = {"train": train, "export": export, "evaluate": evaluate}


def wanted(stage: str) -> dict[str, Any]:
    """The entry of a stage in dvc.lock, as far as it is known before it runs."""
    deps = [{"path": path, "md5": _md5(_packed(Path(path)))} for path in DEPENDENCIES[stage]]
    if stage == "train":
        deps = [{"path": "data", "md5": dvc.data_digest()}]
    params = {"params.yaml": {"train": {"l2_regularization": dial()}}} if stage == "train" else {}
    return {"cmd": f"python -m delivery {stage}", "deps": deps, "params": params}


def repro(*, forced: str = "") -> list[str]:
    """Run the stages whose inputs have changed, or the one that is `forced`; return those that ran."""
    lock = yaml.safe_load(workspace.DVC_LOCK.read_text())["stages"] if workspace.DVC_LOCK.exists() else {}
    ran = []
    for stage in [forced] if forced else STAGES:
        entry, out = wanted(stage), workspace.ARTIFACTS / stage
        known = lock.get(stage, {})
        same = not forced and all(known.get(name) == value for name, value in entry.items())
        if not (same and _restored(out, known["outs"][0]["md5"])):
            _write(out, RUN[stage]())
            ran.append(stage)
        lock[stage] = entry | {"outs": [{"path": out.as_posix(), "md5": _kept(out)}]}
    workspace.DVC_LOCK.write_text(yaml.safe_dump({"schema": "2.0", "stages": {name: lock[name] for name in STAGES}}))
    return ran


def push() -> None:
    """Copy what dvc.lock names from the cache to the store."""
    for name in dvc.outputs(workspace.DVC_LOCK.read_text()).values():
        target = workspace.DVC_OBJECTS / name[:2] / name[2:]
        if not target.exists() and _cached(name).exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(_cached(name).read_bytes())


def run(*words: str, check: bool = True, quiet: bool = False) -> subprocess.CompletedProcess[str]:
    """In place of `dvc.run`."""
    assert words[0] in ("repro", "push", "pull", "commit", "add"), words
    output = ""
    if words[0] == "repro":
        output = "".join(f"Running stage '{stage}':\n" for stage in repro())
    elif words[0] == "push":
        push()
    elif words[0] == "add":
        workspace.DATA_FILE.write_text(periods.data_file((workspace.DATA / "until").read_text()))
    return subprocess.CompletedProcess(list(words), 0, output, "")


def again(stage: str, seconds: float | None) -> bool:
    """In place of `dvc.again`."""
    repro(forced=stage)
    return True


def _packed(folder: Path) -> bytes:
    return json.dumps({path.name: path.read_text() for path in sorted(folder.iterdir())}).encode()


def _md5(content: bytes) -> str:
    return dvc.digest(content)


def _cached(name: str) -> Path:
    return Path(".dvc/cache") / name


def _kept(folder: Path) -> str:
    content = _packed(folder)
    name = _md5(content)
    _cached(name).parent.mkdir(parents=True, exist_ok=True)
    _cached(name).write_bytes(content)
    return name


def _restored(folder: Path, name: str) -> bool:
    if folder.is_dir() and _md5(_packed(folder)) == name:
        return True
    for path in (_cached(name), workspace.DVC_OBJECTS / name[:2] / name[2:]):
        if path.exists() and _md5(path.read_bytes()) == name:
            _write(folder, json.loads(path.read_bytes()))
            return folder != workspace.ARTIFACTS / "evaluate" or workspace.METRICS.exists()
    return False


def _write(folder: Path, contents: dict[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in contents.items():
        (folder / name).write_text(text)
