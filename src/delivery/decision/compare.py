"""Verb `compare`: the model against another one, on the same rows, whole blocks resampled."""

import argparse
import json
from pathlib import Path

import pandas as pd

from delivery.core import documents, params, workspace
from delivery.core.errors import Failure
from delivery.core.params import Compare
from delivery.data import prepared
from delivery.decision import baseline
from delivery.render.markdown import sentence
from delivery.stats.comparison import compare
from delivery.stats.verdicts import ComparisonResult


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the verb."""
    parser.add_argument(
        "--base",
        metavar="REV",
        help="commit, version or alias to compare with (default: the last commit; if nothing has changed since then, the champion)",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def main(options: argparse.Namespace) -> None:
    """Compare, and print the outcome."""
    result = run(params.load().compare, options.base)
    print(json.dumps(documents.as_builtins(result), indent=1) if options.json else sentence(result))


def run(settings: Compare, base: str | None = None) -> ComparisonResult:
    """Compare the predictions on disk with those of the baseline, and write compare.json."""
    chosen, reason = baseline.choose(base)
    candidate = read(workspace.PREDICTIONS) if chosen else None
    champion = None
    if chosen:
        try:
            champion = baseline.on(chosen, prepared.read("test"))
        except baseline.Incomparable as failure:  # would keep every later model from production, too
            reason = str(failure)
    if chosen is None or candidate is None or champion is None:
        result = ComparisonResult(against=None, commit=None, reason=reason, comparison=None)
    else:
        comparison = compare(champion, candidate, settings)
        result = ComparisonResult(chosen.name, chosen.commit, reason, comparison)
    documents.write(workspace.COMPARISON, result)
    return result


def read(path: Path) -> pd.DataFrame:
    """Return predictions row by row. Raise Failure if the file is missing."""
    if not path.exists():
        raise Failure(f"{path} is missing; run `dvc repro`")
    return pd.read_parquet(path)
