"""This commit against an older one, in pairs: the pipeline, the service's start and speed, and a deployment.

    .venv/bin/python benchmarks/commits.py OLD [--rounds 5]     (needs haproxy and wrk)

Each commit gets a clone with its own `.venv` under .cache/commits/, where its own pipeline trains its own model. The two
take turns, in random order, so that a slow minute of the machine hits both. A figure is the median over the rounds of
new divided by old, with the smallest and the largest pair.
"""

import argparse
import json
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import psutil
from serving import LUA, answers, stop

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".cache" / "commits"
PORTS = {"old": 8190, "new": 8191}
LOADS = {"1 connection": (1, 1), "64 connections": (64, 1), "1000 rows in a request": (1, 1000)}
Figures = dict[str, dict[str, list[float]]]  # figure, then old or new: one value per round


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("old", help="commit to compare with")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3, help="length of each measurement of the service")
    options = parser.parse_args()
    for program in ("haproxy", "wrk"):
        if not shutil.which(program):
            sys.exit(f"error: {program} is missing; install it (Debian: apt-get install {program})")
    clones = {"old": clone(options.old), "new": clone("HEAD")}
    figures: Figures = defaultdict(lambda: defaultdict(list))
    alternate(clones, options.rounds, lambda side: figures["pipeline, s"][side].append(pipeline(clones[side])))
    alternate(clones, options.rounds * 2, lambda side: figures["start, s"][side].append(start(clones[side], side)))
    serve(clones, options, figures)
    alternate(clones, options.rounds, lambda side: deploy(clones[side], side, figures))
    print(table(figures))


def alternate(clones: dict[str, Path], rounds: int, measure: Callable[[str], None]) -> None:
    for number in range(rounds):
        for side in random.sample(list(clones), 2):
            measure(side)
        print(f"round {number + 1} of {rounds}", flush=True)


def clone(revision: str) -> Path:
    """Return a clone at a revision, with its environment installed and its pipeline run."""
    commit = subprocess.run(
        ["git", "rev-parse", "--verify", f"{revision}^{{commit}}"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.strip()
    folder = FOLDER / commit[:12]
    if not (folder / "artifacts" / "export").exists():
        shutil.rmtree(folder, ignore_errors=True)
        run(["git", "clone", "--quiet", str(ROOT), str(folder)])
        run(["git", "checkout", "--quiet", "--detach", commit], folder)
        run(["make", "--silent", "setup"], folder)
        run([python(folder), "-m", "delivery", "fetch"], folder)
        run([python(folder), "-m", "dvc", "repro", "--quiet"], folder)
    return folder


def python(folder: Path) -> str:
    return str(folder / ".venv" / "bin" / "python")


def run(command: list[str], folder: Path | None = None) -> str:
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    environment["PYTHONDONTWRITEBYTECODE"] = ""
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"error: {' '.join(command)}: {done.stdout[-1000:]}{done.stderr[-1000:]}")
    return done.stdout


def pipeline(folder: Path) -> float:
    begun = time.perf_counter()
    run([python(folder), "-m", "dvc", "repro", "--quiet", "--force"], folder)
    return time.perf_counter() - begun


def launch(folder: Path, side: str) -> psutil.Process:
    """Return the service of a clone once it answers, pinned to the first core."""
    words = [python(folder), "-m", "delivery.service", "--model", "artifacts/export", "--port", str(PORTS[side])]
    process = psutil.Popen(
        ["taskset", "--cpu-list", "0", *words],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder / "src"), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while not answers(f"http://127.0.0.1:{PORTS[side]}/predict", body(folder, 1)):
        if process.poll() is not None or time.monotonic() > deadline:
            stop(process)
            sys.exit(f"error: the service of {folder.name} did not start")
        time.sleep(0.005)
    return process


def start(folder: Path, side: str) -> float:
    begun = time.perf_counter()
    process = launch(folder, side)
    seconds = time.perf_counter() - begun
    stop(process)
    return seconds


def requests(folder: Path) -> list[dict[str, object]]:
    return [row["request"] for row in json.loads((folder / "artifacts" / "export" / "examples.json").read_text())]


def body(folder: Path, rows: int) -> bytes:
    known = requests(folder)
    return json.dumps(known[0] if rows == 1 else [known[number % len(known)] for number in range(rows)]).encode()


def serve(clones: dict[str, Path], options: argparse.Namespace, figures: Figures) -> None:
    """Record the rates of both services, which are up at once and asked one after the other."""
    bodies = {}
    for load, (_, rows) in LOADS.items():
        bodies[load] = FOLDER / f"{rows}.jsonl"
        lines = (
            [body(clones["old"], rows)] if rows > 1 else [json.dumps(row).encode() for row in requests(clones["old"])]
        )
        bodies[load].write_bytes(b"\n".join(lines) + b"\n")
        bodies[load].with_suffix(".lua").write_text(LUA % bodies[load])
    running = [launch(folder, side) for side, folder in clones.items()]
    try:
        for load, (connections, _) in LOADS.items():

            def measure(side: str, load: str = load, connections: int = connections) -> None:
                script = bodies[load].with_suffix(".lua")
                figures[f"requests per second, {load}"][side].append(
                    rate(PORTS[side], script, connections, options.seconds)
                )

            alternate(clones, options.rounds, measure)
    finally:
        for process in running:
            stop(process)


def rate(port: int, script: Path, connections: int, seconds: int) -> float:
    """Return requests per second that wrk got answered, from the second core; stop if one was refused."""
    words = ["taskset", "--cpu-list", "1", "wrk", "--threads", "1", "--connections", str(connections)]
    words += ["--duration", f"{seconds}s", "--timeout", "20s", "--script", str(script)]
    printed = run([*words, f"http://127.0.0.1:{port}/predict"])
    if "Non-2xx" in printed:
        sys.exit(f"error: requests were refused: {printed}")
    return float(re.findall(r"Requests/sec:\s+([\d.]+)", printed)[0])


def deploy(folder: Path, side: str, figures: Figures) -> None:
    """Record the columns of the clone's own benchmark of a deployment under load."""
    page = folder / "docs" / "benchmarks.md"
    kept = page.read_text()
    printed = run([python(folder), "benchmarks/deploy.py", "--rounds", "1", "--seconds", "4"], folder)
    page.write_text(kept)
    for line in printed.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 7 and cells[1].isdigit():
            phase, _, failed, _, late, _, seconds = cells
            figures[f"{phase}: failed requests"][side].append(float(failed))
            figures[f"{phase}: p99, ms"][side].append(float(late.split(",")[0]))
            if seconds != "-":
                figures[f"{phase}: until all answers are the new version's, s"][side].append(
                    float(seconds.split(",")[0])
                )


def table(figures: Figures) -> str:
    lines = ["| figure | old | new | new / old, median [smallest, largest pair] |", "|---|---|---|---|"]
    for figure, sides in figures.items():
        old, new = (statistics.median(sides[side]) for side in ("old", "new"))
        ratios = [two / one for one, two in zip(sides["old"], sides["new"], strict=True) if one]
        shown = f"{statistics.median(ratios):.3f} [{min(ratios):.3f}, {max(ratios):.3f}]" if ratios else "-"
        lines.append(f"| {figure} | {old:.4g} | {new:.4g} | {shown} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
