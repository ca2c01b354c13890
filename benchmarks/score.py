"""Measure bulk scoring: rows per second against plain ONNX Runtime on the same core, and the memory it takes.

    taskset -c 0 .venv/bin/python benchmarks/score.py [--rows 33000000] [--rounds 3]

Rows are drawn with a seed from artifacts/prepare and written as parquet in row groups of 500,000. Plain ONNX Runtime gets
encoded rows that are already in memory, in batches of the same size: no file, no keys, nothing written. The two
alternate, `--rounds` of each; the memory is that of a process that only runs `score`.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import onnxruntime
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from delivery.core import workspace
from delivery.model import runtime
from delivery.scoring import encoding, score
from problem import FEATURES, KEY

GROUP = 500_000
SCORE = """
import json, sys
from pathlib import Path
from delivery.scoring import encoding, score
about = score.run(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))
peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) / 1024
print(json.dumps({"rows": about["rows"], "seconds": about["seconds"], "mb": peak}))
"""


def write(rows: int, to: Path) -> None:
    known = pd.concat(pd.read_parquet(f"artifacts/prepare/{name}.parquet") for name in ("train", "test"))
    table = pa.Table.from_pandas(known[[*dict.fromkeys([*KEY, *FEATURES])]], preserve_index=False)
    draw = np.random.default_rng(7)
    with pq.ParquetWriter(to, table.schema) as writer:
        for start in range(0, rows, GROUP):
            writer.write_table(table.take(draw.integers(0, len(table), min(GROUP, rows - start))))


def plain(source: Path) -> float:
    """Return rows per second of `session.run` alone, over the encoded rows of one row group."""
    manifest = runtime.read_manifest(workspace.EXPORT)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        str(workspace.EXPORT / manifest.model), options, providers=["CPUExecutionProvider"]
    )
    entry = session.get_inputs()[0]
    encode = encoding.encoder(manifest, np.float64 if entry.type == "tensor(double)" else np.float32)
    inputs = [encode(batch) for batch in pq.ParquetFile(source).iter_batches(score.BATCH, [0])]
    began = time.perf_counter()
    for batch in inputs:
        session.run([manifest.output], {entry.name: batch})
    return sum(map(len, inputs)) / (time.perf_counter() - began)


def whole(source: Path, result: Path) -> dict:
    done = subprocess.run(
        [sys.executable, "-c", SCORE, source, result, workspace.EXPORT], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=33_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory(dir=".cache") as scratch:
        source = Path(scratch, "rows.parquet")
        write(options.rows, source)
        ratios = []
        for number in range(options.rounds):
            alone = plain(source)
            ours = whole(source, Path(scratch, f"out{number}"))
            alone = (alone + plain(source)) / 2  # before and after: the machine is shared
            speed = ours["rows"] / ours["seconds"]
            ratios.append(speed / alone)
            print(f"{ours['rows']:,} rows: {speed:,.0f} a second, plain {alone:,.0f}, ratio {ratios[-1]:.2f}, "
                  f"peak {ours['mb']:.0f} MB")  # fmt: skip
        print(f"median ratio {statistics.median(ratios):.2f} of {options.rounds}")


if __name__ == "__main__":
    main()
