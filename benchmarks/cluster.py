"""Measure what a Dask cluster gains on one machine: features, scoring, a search and a forest, locally and on workers.

    .venv/bin/python benchmarks/cluster.py --workers 2 --rounds 2      # after `make scale` and `dvc repro`

Each worker is a single-threaded process on its own core. Features use the source's whole year; the rows to score are drawn
from the test rows with a seed. Times are the best of the rounds, with workers and files warm.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
from msgspec.structs import replace

from delivery.core import workspace
from delivery.data import prepared

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

from delivery.compute import engine
from delivery.core import params
from delivery.data import tables, windows
from delivery.data.fetch import into
from delivery.pipeline import train
from delivery.scoring import score
from delivery.search import search
from delivery.search.space import candidates
from problem import FEATURES, KEY

PORT = 18786
TRIALS = 8
FOREST = 100  # trees


def nothing(item: int) -> int:
    return item


def made(window: windows.Window) -> int:
    """Make the features of a window and return only the number of rows, as `prepare` does with files."""
    return len(windows.features(window))


@contextmanager
def cluster(workers: int) -> Iterator[str]:
    address = f"tcp://127.0.0.1:{PORT}"
    cli, quiet = "distributed.cli.dask", subprocess.DEVNULL
    words = [[f"{cli}_scheduler", "--host", "127.0.0.1", "--port", str(PORT)]]
    words += [[f"{cli}_worker", address, "--nthreads", "1", "--no-nanny"]] * workers
    running = [
        subprocess.Popen([sys.executable, "-m", *each, "--no-dashboard"], stdout=quiet, stderr=quiet) for each in words
    ]
    try:
        with engine.connected(address) as client:
            client.wait_for_workers(workers, 60)
        yield address
    finally:
        for process in reversed(running):
            process.terminate()
            process.wait()


def jobs(folder: Path, rows: int) -> dict[str, Callable[[str], object]]:
    settings = params.load()
    last = tables.periods()[-1]
    into(folder / "data", last)
    cut = windows.cut(last, "stream", folder / "data")
    test = prepared.read("test")[[*dict.fromkeys([*KEY, *FEATURES])]]
    test.sample(rows, replace=True, random_state=1).to_parquet(folder / "rows.parquet", row_group_size=50_000)
    planned = candidates(replace(settings, search=replace(settings.search, trials=TRIALS - 1)))
    folds = search.periods(prepared.read("train"), settings.search.folds)

    def scored(where: str) -> None:
        shutil.rmtree(folder / "scores", ignore_errors=True)
        score.run(folder / "rows.parquet", folder / "scores", workspace.EXPORT, where)

    wanted = replace(settings.train, model="random_forest", max_iter=FOREST, max_leaf_nodes=500)
    rows_known = prepared.read("train")

    return {
        f"features of {len(cut)} windows": lambda where: list(engine.as_done(made, cut, where)),
        f"scores of {rows:,} rows": scored,
        f"search, {len(planned)} trials": lambda where: list(
            search.tried(planned, folds, replace(settings, engine=where))
        ),
        f"a forest of {FOREST} trees": partial(engine.spread, partial(train.fit, rows_known, wanted)),
        "1,000 tasks that do nothing": lambda where: list(engine.as_done(nothing, range(1000), where)),
    }


def best(job: Callable[[str], object], where: str, rounds: int) -> float:
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        job(where)
        times.append(time.perf_counter() - began)
    return min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rows", type=int, default=3_000_000)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    windows.ROWS = 30_000
    table: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory(prefix="cluster.", dir=Path.cwd()) as place:
        todo = jobs(Path(place), options.rows)
        for name, job in todo.items():
            table[name] = {"here": best(job, "memory", options.rounds)}
        for workers in range(1, options.workers + 1):
            with cluster(workers) as address:
                for name, job in todo.items():
                    table[name][f"{workers} worker(s)"] = best(job, address, options.rounds)
    for name, times in table.items():
        print(f"{name}: " + ", ".join(f"{where} {seconds:.1f} s" for where, seconds in times.items()))
    print(json.dumps({name: {k: float(np.round(v, 3)) for k, v in times.items()} for name, times in table.items()}))


if __name__ == "__main__":
    main()
