"""Verb `compare`: the model against another one, on the same rows, whole blocks resampled."""

import argparse
import json
from pathlib import Path

import pandas as pd

from delivery.core import files, params, workspace
from delivery.core.errors import Failure
from delivery.core.params import Compare
from delivery.data import prepared
from delivery.decision import baseline
from delivery.stats.comparison import compare, sentence


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--base",
        metavar="REV",
        help="a commit, a version or an alias; without it the last commit, or the champion if nothing has changed",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def main(options: argparse.Namespace) -> None:
    result = run(params.load().compare, options.base)
    print(json.dumps(files.rounded(result), indent=1) if options.json else sentence(result))


def run(settings: Compare, base: str | None = None) -> dict:
    """Compares the predictions on disk with the base's, and writes compare.json."""
    chosen, reason = baseline.choose(base)
    result: dict = {"against": None, "commit": None, "reason": reason, "comparison": None}
    if chosen is not None:
        candidate = read(workspace.PREDICTIONS)
        champion = baseline.on(chosen, prepared.read("test"))
        result |= {
            "against": chosen.name,
            "commit": chosen.commit,
            "comparison": compare(champion, candidate, settings),
        }
    files.write_json(workspace.COMPARISON, result)
    return result


def read(path: Path) -> pd.DataFrame:
    if not path.exists():
        raise Failure(f"{path} is missing; run `dvc repro`")
    return pd.read_parquet(path)
