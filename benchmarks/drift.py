"""Measure what the evidence of a drift check costs, without imports and training.

    .venv/bin/python benchmarks/drift.py [--rounds 15] [--rows 10000000] [--evidently .cache/evidently/bin/python]

For one month: all of `evidence.gather` (shift of each feature and the score, performance with intervals, attribution,
segments), the shift table alone, scipy's two-sample tests on the same columns, and evidently's drift report if an
environment with it is given (it does not run with pandas 3: `python -m venv`, then `pip install evidently==0.7.23
'pandas<3' pyarrow`). With --rows that many rows are written as parquet and counted as a stream.
"""

import argparse
import functools
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from scipy import stats

from delivery.core import params
from delivery.data import prepared
from delivery.drift import evidence
from delivery.stats import shift
from problem import FEATURES, SEASONAL

BATCH_ROWS = 1 << 17  # fits the processor's cache, column by column
EVIDENTLY = """
import json, sys, time
import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.presets import DataDriftPreset
seen, now = (pd.read_parquet(path) for path in sys.argv[1:3])
text = [name for name in seen if not pd.api.types.is_numeric_dtype(seen[name])]
kinds = DataDefinition(categorical_columns=text, numerical_columns=[name for name in seen if name not in text])
for _ in range(int(sys.argv[3])):
    start, used = time.perf_counter(), time.process_time()
    both = [Dataset.from_pandas(rows, data_definition=kinds) for rows in (now, seen)]
    Report([DataDriftPreset(method="psi")]).run(*both).dict()
    print(time.perf_counter() - start, time.process_time() - used)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--rows", type=int, default=0, help="number of rows to count as a stream as well")
    parser.add_argument("--evidently", type=Path, help="Python interpreter that has evidently installed")
    options = parser.parse_args()
    seen, now = prepared.read("train"), prepared.read("test")
    print(f"{len(FEATURES)} features, {len(seen):,} rows against {len(now):,}; median seconds of {options.rounds}")
    print(f"{'':34}  wall    CPU")
    for name, (wall, cpu) in month(seen, now, options.rounds).items():
        print(f"{name:34} {wall:.3f}  {cpu:.3f}")
    if options.evidently:
        wall, cpu = evidently(options.evidently, seen, now, 3)
        print(f"{'evidently: PSI report':34} {wall:.3f}  {cpu:.3f}")
    if options.rows:
        stream(now, options.rows)


def month(seen: pd.DataFrame, now: pd.DataFrame, rounds: int) -> dict[str, tuple[float, float]]:
    settings = params.load()
    scores = [np.random.default_rng(0).uniform(0.05, 0.6, len(rows)) for rows in (seen, now, now)]
    works: dict[str, Callable[[], object]] = {
        "evidence, all of it": lambda: evidence.gather(seen, now, now, scores, settings),
        "PSI, Jensen-Shannon, missing rates": lambda: table(seen, now),
        "scipy: two-sample tests": lambda: tests(seen, now),
    }
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            times[name].append(timed(work))
    return {name: medians(each) for name, each in times.items()}


def medians(pairs: list[tuple[float, float]]) -> tuple[float, float]:
    wall, cpu = (statistics.median(column) for column in zip(*pairs, strict=True))
    return wall, cpu


def table(seen: pd.DataFrame, now: pd.DataFrame) -> list[shift.ShiftRow]:
    where = shift.bins(seen, FEATURES)
    return shift.table(shift.count(seen, where), shift.count(now, where), SEASONAL, 0.25)


def tests(seen: pd.DataFrame, now: pd.DataFrame) -> list[float]:
    """Compute p-values as the usual libraries do."""
    values = []
    for name in FEATURES:
        if pd.api.types.is_numeric_dtype(seen[name]):
            values.append(stats.ks_2samp(seen[name].dropna(), now[name].dropna(), method="asymp").pvalue)
        else:
            counts = pd.concat([seen[name].value_counts(), now[name].value_counts()], axis=1).fillna(0)
            values.append(stats.chi2_contingency(counts.T).pvalue)
    return values


def evidently(python: Path, seen: pd.DataFrame, now: pd.DataFrame, rounds: int) -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as scratch:
        paths = [Path(scratch, f"{name}.parquet") for name in ("seen", "now")]
        for rows, path in zip((seen, now), paths, strict=True):
            rows[list(FEATURES)].to_parquet(path, index=False)
        command = [str(python), "-W", "ignore", "-c", EVIDENTLY, *map(str, paths), str(rounds)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    lines = [line.split() for line in done.stdout.splitlines()]
    return medians([(float(wall), float(cpu)) for wall, cpu in lines])


def stream(now: pd.DataFrame, rows: int) -> None:
    """Run in a separate process, so that only its memory is measured."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch, "many.parquet")
        frame = pa.Table.from_pandas(now[list(FEATURES)], preserve_index=False)
        with pq.ParquetWriter(path, frame.schema) as writer:
            for _ in range(0, rows, len(now)):
                writer.write_table(frame)
        code = (
            f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import drift; drift.count({str(path)!r})"
        )
        done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    found = json.loads(done.stdout)
    times = f"{found['seconds']:.3f}  {found['cpu']:.3f}"
    label = f"{found['rows']:,} rows as a stream"
    print(f"{label:34} {times}, {found['megabytes']:.0f} MB at most, imports included")


def count(path: str) -> None:
    seen = prepared.read("train")
    where = shift.bins(seen, FEATURES)
    start, used = time.perf_counter(), time.process_time()
    with pq.ParquetFile(path) as file:
        batches = file.iter_batches(BATCH_ROWS, columns=list(where), use_threads=False)
        found = functools.reduce(shift.added, (shift.count(batch.to_pandas(), where) for batch in batches))
    shift.table(shift.count(seen, where), found, SEASONAL, 0.25)
    seconds, cpu = time.perf_counter() - start, time.process_time() - used
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"rows": int(found[FEATURES[0]].sum()), "seconds": seconds, "cpu": cpu, "megabytes": peak}))


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Return wall-clock and CPU seconds; on a shared machine CPU time varies less."""
    start, used = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - start, time.process_time() - used


if __name__ == "__main__":
    main()
