"""Compare `prepare` in windows with the same features written by hand, on a year of flights drawn a hundred times.

    .venv/bin/python benchmarks/features.py FOLDER --peers PYTHON [--times 100] [--rounds 3]

PYTHON has the peers: `python3.11 -m venv peers && peers/bin/pip install duckdb==2.0.0 pandas polars==2.1.0 pyarrow`
(pyproject.toml does not have them, because nothing else needs them). FOLDER keeps the data between runs: every month is
drawn from itself with a seed, in the order of its days, with unique flight numbers.

The programs alternate, each in a separate process with all cores; memory is the largest sum of a process and its
children. `prepare` looks for leaks and for windows that are too small, and one row of the result shows its time without
that. It also keeps the order of rows, and keeps training and test rows apart. The peers may write rows in any order. Each
is checked: its columns must have the same sums as those of `prepare`.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import yaml

from problem import FEATURES, LABEL, fetch, periods

HERE = Path(__file__).resolve().parent
SEED = 20130101
PEERS = ("pandas", "polars", "duckdb")
CLOSE = 1e-9
UNCHECKED = """
from delivery.pipeline import leakage
from delivery.core import params
from delivery.pipeline import prepare
leakage.MOMENTS = prepare.SEAMS = 0
prepare.run(params.load())
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--peers", type=Path, required=True, metavar="PYTHON")
    parser.add_argument("--only", nargs="+", default=PEERS, choices=PEERS)
    parser.add_argument("--times", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    data = drawn(options.folder.resolve(), options.times)
    works = {"prepare, engine: stream": ours(options.folder.resolve(), data)}
    command, place, out = works["prepare, engine: stream"]
    works["the same without looking for leaks"] = ([command[0], "-c", UNCHECKED], place, out)
    works |= {name: peer(options.folder.resolve(), data, options.peers, name) for name in options.only}
    took: dict[str, list[tuple[float, float]]] = {name: [] for name in works}
    for _ in range(options.rounds):
        for name, (command, place, out) in works.items():
            for path in out:
                shutil.rmtree(path, ignore_errors=True)
            place.mkdir(exist_ok=True)
            took[name].append(measured(command, place))
            print(f"{name}: {took[name][-1][0]:.1f} s, {took[name][-1][1]:,.0f} MB", flush=True)
    own = sums(works["the same without looking for leaks"][2])
    for name in options.only:
        refuse_difference(name, own, sums(works[name][2]))
    best = [min(took[name][at][0] for name in options.only) for at in range(options.rounds)]
    print(f"\n{own['rows']:,.0f} labelled rows\n| | s | x the best handwritten | MB |\n|---|---:|---:|---:|")
    for name, pairs in took.items():
        ratio = statistics.median(seconds / least for (seconds, _), least in zip(pairs, best, strict=True))
        print(
            f"| {name} | {statistics.median(s for s, _ in pairs):.1f} | {ratio:.2f} | {max(mb for _, mb in pairs):,.0f} |"
        )


def drawn(folder: Path, times: int) -> Path:
    """Write the raw tables, with flights drawn again and everything else unchanged."""
    data, once = folder / f"year-x{times}", folder / "year"
    if data.exists():
        return data
    if not once.exists():
        fetch(once, periods()[-1], Path(".cache/source"))
    scratch = folder / f"{data.name}.part"
    shutil.rmtree(scratch, ignore_errors=True)
    shutil.copytree(once, scratch, ignore=shutil.ignore_patterns("flights"))
    (scratch / "flights").mkdir()
    draw = np.random.default_rng(SEED)
    for period in periods():
        rows = pq.read_table(once / "flights" / f"{period}.parquet")
        places = np.sort(draw.integers(0, len(rows), len(rows) * times))
        again = np.arange(len(places)) - np.searchsorted(
            places, places
        )  # 0 for the first of the same flight, 1 for the second, ...
        flights = rows.take(places)
        number = pa.array(flights["flight"].to_numpy() + 10_000 * again)
        flights = flights.set_column(flights.schema.get_field_index("flight"), "flight", number)
        path = scratch / "flights" / f"{period}.parquet"
        pq.write_table(flights, path, compression="zstd", row_group_size=100_000)
    return scratch.rename(data)


def ours(folder: Path, data: Path) -> tuple[list[str], Path, list[Path]]:
    """Return for each program its command, the folder to run it in, and what it writes."""
    place = folder / "ours"
    place.mkdir(exist_ok=True)
    (place / "data").unlink(missing_ok=True)
    (place / "data").symlink_to(data)
    settings = yaml.safe_load(Path("params.yaml").read_text())
    settings |= {"engine": "stream", "fetch": {"until": periods()[-1]}}
    (place / "params.yaml").write_text(yaml.safe_dump(settings))
    made = [place / "artifacts" / "prepare" / f"{name}.parquet" for name in ("train", "test")]
    return [sys.executable, "-m", "delivery", "prepare"], place, made


def peer(folder: Path, data: Path, python: Path, name: str) -> tuple[list[str], Path, list[Path]]:
    place = folder / name
    command = [str(python.absolute()), str(HERE / "peers" / f"features_{name}.py"), str(data), str(place)]
    return command, place, [place / "features.parquet"]


def measured(command: list[str], place: Path) -> tuple[float, float]:
    """Run a command; return its seconds and the peak MB of the process with its children."""
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": ""}
    began, most = time.perf_counter(), 0
    with subprocess.Popen(command, cwd=place, env=environment, stdout=subprocess.DEVNULL) as running:
        tree = psutil.Process(running.pid)
        while running.poll() is None:
            most = max(most, memory(tree))
            time.sleep(0.05)
        if running.returncode:
            sys.exit(f"{' '.join(command)} failed")
        return time.perf_counter() - began, most / 1e6


def memory(tree: psutil.Process) -> int:
    total = 0
    try:
        for process in [tree, *tree.children(recursive=True)]:
            total += process.memory_info().rss
    except psutil.NoSuchProcess:
        pass  # ended meanwhile
    return total


def sums(paths: list[Path]) -> dict[str, float]:
    """Return sum and count of each numeric feature, and the counts of each value of text features."""
    found: dict[str, float] = {"rows": 0}
    for path in paths:
        for batch in ds.dataset(path).to_batches(columns=[LABEL, *FEATURES]):
            found["rows"] += batch.num_rows
            for name in (LABEL, *FEATURES):
                column = batch.column(name)
                if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
                    valid = column.cast(pa.float64()).drop_null()
                    values = {name: pc.sum(valid).as_py() or 0, f"{name} known": len(valid)}
                else:
                    pairs = pc.value_counts(column).to_pylist()
                    values = {f"{name} {pair['values']}": pair["counts"] for pair in pairs}
                for key, value in values.items():
                    found[key] = found.get(key, 0) + value
    return found


def refuse_difference(name: str, own: dict[str, float], found: dict[str, float]) -> None:
    wrong = [key for key in own.keys() | found.keys() if abs(own.get(key, 0) - found.get(key, 0)) > CLOSE * own["rows"]]
    if wrong:
        sys.exit(f"{name} has other features than ours: {', '.join(sorted(wrong)[:5])}")


if __name__ == "__main__":
    main()
