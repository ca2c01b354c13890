"""Made-up predictions, settings and repositories for the unit tests."""

import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from msgspec.structs import replace

from delivery.evaluate import PREDICTION
from delivery.params import Params
from problem import BLOCK, LABEL, PERIOD

ROOT = Path(__file__).parents[2]


def changed(settings: Params, **values: Any) -> Params:
    """Other values for parameters that are named `section__key`."""
    for name, value in values.items():
        section, _, key = name.partition("__")
        settings = replace(settings, **{section: replace(getattr(settings, section), **{key: value})})
    return settings


def predictions(days: int = 30, a_day: int = 60, seed: int = 0) -> pd.DataFrame:
    """What `evaluate` writes, of a model that knows every row's chance, with good days and bad ones."""
    rng = np.random.default_rng(seed)
    count = days * a_day
    day = pd.Timestamp("2013-05-01", tz="UTC") + pd.to_timedelta(np.repeat(np.arange(days), a_day), unit="D")
    chance = np.clip(0.25 + 0.1 * np.repeat(rng.normal(size=days), a_day) + 0.1 * rng.normal(size=count), 0.02, 0.98)
    return pd.DataFrame(
        {
            "time_hour": day,
            "carrier": rng.choice(["AA", "B6", "UA"], count),
            "flight": np.arange(count),
            "origin": rng.choice(["EWR", "JFK", "LGA"], count),
            BLOCK: day.strftime("%Y-%m-%d"),
            PERIOD: day.strftime("%Y-%m"),
            LABEL: (rng.random(count) < chance).astype(float),
            PREDICTION: chance,
        }
    )


def worse(rows: pd.DataFrame, by: float, where: Any = True) -> pd.DataFrame:
    """The same rows with predictions moved away from what happened, or towards it if `by` is negative."""
    away = rows[PREDICTION] - by * (2 * rows[LABEL] - 1) * np.where(where, 1, 0)
    return rows.assign(**{PREDICTION: away.clip(0.001, 0.999)})


def git(*words: str, cwd: Path | str = ".") -> str:
    done = subprocess.run(["git", *words], cwd=cwd, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def commit(message: str = "Work", cwd: Path | str = ".") -> str:
    git("add", "--all", cwd=cwd)
    git("commit", "--quiet", "--allow-empty", "--message", message, cwd=cwd)
    return git("rev-parse", "HEAD", cwd=cwd)
