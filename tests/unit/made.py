"""Made-up predictions, settings, versions and repositories for the unit tests."""

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest
from msgspec import Struct
from msgspec.structs import replace

from delivery.core import files, workspace
from delivery.core.params import Params
from delivery.pipeline import export
from delivery.registry import registry
from delivery.registry.version import Lineage
from delivery.stats.predictions import PREDICTION, values
from delivery.stats.verdicts import CalibrationGaps, Comparison, MetricRow, Outcome, SegmentRow
from problem import BLOCK, CLASSES, FEATURES, KEY, LABEL, PERIOD, PRIMARY, SEGMENTS, predict

ROOT = Path(__file__).parents[2]
LEAST_PARAMS = "fetch: {until: '2013-05'}\ngate: {floors: {}}\n"  # the keys of params.yaml without a default


def changed(settings: Params, **values: Any) -> Params:
    """Other values for parameters that are named `section__key`."""
    for name, value in values.items():
        section, _, key = name.partition("__")
        changed = replace(getattr(settings, section), **{key: value}) if key else value
        settings = replace(settings, **{section: changed})
    return settings


def predictions(days: int = 30, a_day: int = 60, seed: int = 0) -> pd.DataFrame:
    """What `evaluate` writes, of a model that knows every row's chance, with good days and bad ones."""
    rng = np.random.default_rng(seed)
    count = days * a_day
    day = pd.Timestamp("2013-05-01", tz="UTC") + pd.to_timedelta(np.repeat(np.arange(days), a_day), unit="D")
    chance = np.clip(0.25 + 0.1 * np.repeat(rng.normal(size=days), a_day) + 0.1 * rng.normal(size=count), 0.02, 0.98)
    label, prediction = outcome(chance, rng)
    columns: dict[str, Any] = {name: rng.choice(["A", "B", "C"], count) for name in SEGMENTS}
    columns |= {name: np.arange(count) for name in KEY if name not in SEGMENTS}
    columns |= {BLOCK: day.strftime("%Y-%m-%d"), PERIOD: day.strftime("%Y-%m"), LABEL: label}
    return pd.DataFrame(columns | {PREDICTION: prediction})


def outcome(chance: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, Any]:
    """Labels and predictions, in the form of the problem's task, that agree with these chances."""
    if not CLASSES:
        return chance * (1 + rng.normal(0, 0.4, len(chance))), chance
    happens = rng.random(len(chance)) < chance
    if len(CLASSES) == 2:
        return happens.astype(float), chance
    others = rng.integers(0, len(CLASSES) - 1, len(chance))
    rest = np.repeat((1 - chance)[:, None] / (len(CLASSES) - 1), len(CLASSES) - 1, axis=1)
    return np.where(happens, len(CLASSES) - 1, others).astype(float), list(np.column_stack([rest, chance]))


PART = f"{SEGMENTS[0]}=B"  # a segment of `predictions`


def inside(rows: pd.DataFrame) -> pd.Series:
    """Which rows are of PART."""
    return rows[SEGMENTS[0]] == "B"


def worse(rows: pd.DataFrame, by: float, where: Any = True) -> pd.DataFrame:
    """The same rows with predictions moved away from what happened, or towards it if `by` is negative."""
    y, p = rows[LABEL].to_numpy(float), values(rows[PREDICTION])
    move = by * np.where(where, 1.0, 0.0) * np.ones(len(rows))
    if not CLASSES:
        return rows.assign(**{PREDICTION: y + (p - y) * (1 + 10 * move)})
    if len(CLASSES) == 2:
        return rows.assign(**{PREDICTION: (p - move * (2 * y - 1)).clip(0.001, 0.999)})
    right = np.eye(len(CLASSES))[y.astype(int)].astype(bool)
    hit = np.clip(p[right] - move, 0.001, 0.999)
    rest = p * ((1 - hit) / (1 - p[right]))[:, None]
    return rows.assign(**{PREDICTION: list(np.where(right, hit[:, None], rest))})


def nearly(value: float, within: float | None = None) -> Any:
    """`pytest.approx` for the field of a struct."""
    return pytest.approx(value, abs=within)


def metric_row(name: str, low: float, high: float, verdict: Outcome = "within noise") -> MetricRow:
    """A row of a comparison whose difference is in the middle of its interval."""
    return MetricRow(name, False, 0.5, 0.5, (low + high) / 2, low, high, verdict)


def segment_row(name: str, p_worse: float, judged: bool = True) -> SegmentRow:
    """A segment that lost a quarter."""
    return SegmentRow(name, 1200, 30, -0.25, -0.375, -0.125, p_worse, judged)


def comparison(metrics: Sequence[MetricRow] = (), segments: Sequence[SegmentRow] = ()) -> Comparison:
    """A comparison on 1,800 rows of 30 days."""
    return Comparison(1800, 30, "day", 0.95, PRIMARY, tuple(metrics), tuple(segments), CalibrationGaps(0.0, 0.0))


def written(model: Any, rows: tuple, settings: Params, folder: Path) -> None:
    """What the stage does before it checks."""
    (folder / workspace.MANIFEST).write_text("")
    manifest = export.describe(model, rows[0]) | export.write_model(model, settings.export, folder)
    files.write_json(folder / workspace.MANIFEST, manifest, exact=True)


def checked(model: Any, rows: tuple, folder: Path, tolerance: float = 1e-6) -> float:
    test = export.with_gaps(rows[1])
    return export.refuse_mismatch(folder, test, predict(model, test[list(FEATURES)]), tolerance)


def model_files(name: str) -> Path:
    """A folder as it is registered, whose model is the name."""
    files.write(Path("models") / name / "export" / "model.onnx", name)
    files.write(Path("models") / name / "metrics.json", "{}")
    return Path("models") / name


def version(name: str, **tags: str) -> str:
    """Register `model_files` with these tags; return the version's number."""
    folder = model_files(name)
    lineage = Lineage(digest=files.digest(folder / "export"), commit="abc")
    number, _ = registry.add(folder, lineage, {"auc": 0.75})
    registry.tag(number, tags)
    return number


def git(*words: str, cwd: Path | str = ".") -> str:
    done = subprocess.run(["git", *words], cwd=cwd, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def commit(message: str = "Work", cwd: Path | str = ".") -> str:
    git("add", "--all", cwd=cwd)
    git("commit", "--quiet", "--allow-empty", "--message", message, cwd=cwd)
    return git("rev-parse", "HEAD", cwd=cwd)


def branch(name: str, files: dict[str, str], start: str = "main") -> str:
    """Commit these files on top of `start` as a branch, and return the commit."""
    git("checkout", "--quiet", "-B", name, start)
    for path, text in files.items():
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(text)
        git("add", "--force", path)
    git("commit", "--quiet", "--message", name)
    return git("rev-parse", "HEAD")


def remote(folder: Path) -> Path:
    """Push the current folder's repository to a bare one in `folder`, its remote from now on; the bare one's path."""
    bare = folder / "origin.git"
    git("init", "--quiet", "--bare", "--initial-branch", "main", str(bare))
    git("remote", "add", "origin", str(bare))
    git("push", "--quiet", "origin", "main")
    return bare


def accepts(request: type[Struct], row: Any) -> bool:
    """Whether the service's decoder takes a row."""
    try:
        msgspec.json.decode(msgspec.json.encode(row), type=request)
    except msgspec.ValidationError:
        return False
    return True
