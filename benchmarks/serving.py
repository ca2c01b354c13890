"""Compare this service with its peers: requests per second, latency, CPU, start and memory, all on this machine.

    .venv/bin/python benchmarks/serving.py [--rounds 3] [--seconds 3] [--only service,empty,mlflow] [--soak 200000]

Every server is pinned to one core and wrk to the other. All servers run at once and are measured one after the other, in a
different order each round. Ratios are medians of the ratios within a round, so that other work on the machine matters
less. Peers are installed into separate environments under .cache/peers/. Needs `wrk`, and the model: `dvc repro`.
"""

import argparse
import json
import math
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import time
import urllib.request
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path

import psutil
from peers import HERE, PEERS, Peer

from delivery.data import prepared

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".cache" / "serving"
PAGE, HEADING = ROOT / "docs" / "benchmarks.md", "## Serving"
LUA = """
local bodies, i = {}, 0
for line in io.lines("%s") do bodies[#bodies + 1] = line end
request = function()
  i = i %% #bodies + 1
  return wrk.format("POST", nil, {["content-type"] = "application/json"}, bodies[i])
end
"""
LOADS = {"1": (1, 1), "64": (64, 1), "rows": (1, 1000)}  # connections, rows in a request
Figures = dict[str, dict[str, list[float]]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--only", default=",".join(PEERS))
    parser.add_argument("--soak", type=int, default=200_000, help="number of requests in the memory test")
    options = parser.parse_args()
    if not shutil.which("wrk"):
        sys.exit("error: wrk is missing; install it (Debian: apt-get install wrk)")
    names = options.only.split(",")
    prepare()
    figures: dict[str, Figures] = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    skipped: dict[str, str] = {}
    with ExitStack() as stack:
        running: dict[str, psutil.Process] = {}
        for number, name in enumerate(names):
            try:
                running[name] = start(name, 8100 + number, figures[name], stack)
            except (subprocess.CalledProcessError, TimeoutError) as error:
                skipped[name] = " ".join(str(error).split())[:200]
                print(f"{name}: not measured: {skipped[name]}", flush=True)
        for turn in range(options.rounds):
            for load in LOADS:
                for name in random.Random(f"{turn}{load}").sample(list(running), len(running)):
                    measure(name, load, 8100 + names.index(name), running[name], options.seconds, figures[name][load])
            print(f"round {turn + 1} of {options.rounds}", flush=True)
        for name, process in running.items():
            figures[name]["memory"]["mb"] = [memory(process)]
        if "service" in running and options.soak:
            soak(running["service"], 8100 + names.index("service"), options.soak, figures["service"]["memory"])
    (FOLDER / "figures.json").write_text(json.dumps(figures, indent=1))
    write(table(figures, skipped, options))


def prepare() -> None:
    """Prepare the exported model for this service, the same pipeline for the peers, and the requests of each kind."""
    import joblib
    import mlflow.sklearn
    import msgspec

    from delivery.core import workspace
    from delivery.model import skopsfile
    from delivery.pipeline import export
    from problem import FEATURES, row

    shutil.rmtree(FOLDER, ignore_errors=True)
    shutil.copytree(workspace.EXPORT, FOLDER / "export")
    pipeline = skopsfile.load(workspace.MODEL)
    joblib.dump(pipeline, FOLDER / "model.joblib")
    mlflow.sklearn.save_model(
        pipeline, FOLDER / "mlflow", pip_requirements=["scikit-learn"], serialization_format="cloudpickle"
    )
    rows = prepared.read("test").sample(2000, random_state=7)
    requests = export.requests(rows)
    sent = [
        {key: value for key, value in request.items() if value is not None} for request in msgspec.to_builtins(requests)
    ]
    features = [dict(zip(FEATURES, row(request), strict=True)) for request in requests]
    for name, peer in PEERS.items():
        rows_of = sent if peer.ours else features
        for load, (_, count) in LOADS.items():
            batches = [[one] for one in rows_of]
            if count > 1:
                batches = [random.Random(number).sample(rows_of, count) for number in range(8)]
            bodies = FOLDER / f"{name}-{load}.jsonl"
            bodies.write_text("".join(json.dumps(peer.wrap(batch)) + "\n" for batch in batches))
            (FOLDER / f"{name}-{load}.lua").write_text(LUA % bodies)


def environment() -> dict[str, str]:
    from problem import CATEGORIES, FEATURES

    return os.environ | {
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "PEER_MODEL": str(FOLDER / "model.joblib"),
        "PEER_FEATURES": " ".join(FEATURES),
        "PEER_CATEGORIES": " ".join(CATEGORIES),
        "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{HERE}",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "RAY_DISABLE_DOCKER_CPU_WARNING": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
        "BENTOML_DO_NOT_TRACK": "True",
    }


def python_of(name: str, peer: Peer) -> Path:
    """Return the interpreter of the peer's environment, which is created if missing."""
    if not peer.packages:
        return Path(sys.executable)
    folder = ROOT / ".cache" / "peers" / name
    if not (folder / "ready").exists():
        print(f"{name}: installing into {folder.relative_to(ROOT)}", flush=True)
        uv = str(Path(sys.executable).parent / "uv")
        subprocess.run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)], check=True)
        lock = (ROOT / "requirements" / "dev.txt").read_text()
        pins = re.findall(r"^(?:scikit-learn|pandas|numpy)==[^ ;]+", lock, re.M)
        command = [uv, "pip", "install", "--quiet", "--python", str(folder / "bin/python"), *peer.packages, *pins]
        subprocess.run(command, check=True)
        (folder / "ready").touch()
    return folder / "bin" / "python"


def start(name: str, port: int, figures: Figures, stack: ExitStack) -> psutil.Process:
    """Yield the running server after its first good answer; the time until then is its cold start."""
    peer = PEERS[name]
    python = python_of(name, peer)
    log = stack.enter_context((FOLDER / f"{name}.log").open("w"))
    for attempt in range(3 if peer.ours else 1):
        begun = time.perf_counter()
        command = ["taskset", "--cpu-list", "0", *peer.command(python, port, FOLDER)]
        process = psutil.Popen(command, stdout=log, stderr=log, env=environment(), cwd=ROOT, start_new_session=True)
        body = (FOLDER / f"{name}-1.jsonl").read_text().splitlines()[0].encode()
        while not answers(f"http://127.0.0.1:{port}{peer.path}", body):
            if process.poll() is not None or time.perf_counter() - begun > 180:
                last = (FOLDER / f"{name}.log").read_text().strip().splitlines()[-1:]
                stop(process)
                raise TimeoutError(f"it did not start: {''.join(last)}")
            time.sleep(0.01)
        figures["start"]["s"].append(time.perf_counter() - begun)
        if attempt < 2 and peer.ours:
            stop(process)
    stack.callback(stop, process)
    print(f"{name}: up", flush=True)
    return process


def answers(url: str, body: bytes) -> bool:
    request = urllib.request.Request(url, body, {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status == 200
    except OSError:
        return False


def stop(process: psutil.Process) -> None:
    """Return the ids of a process and its children."""
    family = [*process.children(recursive=True), process] if process.is_running() else []
    for one in family:
        one.terminate()
    _, left = psutil.wait_procs(family, timeout=15)
    for one in left:
        one.kill()


def measure(
    name: str, load: str, port: int, process: psutil.Process, seconds: int, into: dict[str, list[float]]
) -> None:
    connections, _ = LOADS[load]
    before = cpu(process)
    words = ["taskset", "--cpu-list", "1", "wrk", "--threads", "1", "--connections", str(connections), "--latency"]
    words += ["--timeout", "20s", "--duration", f"{seconds}s", "--script", str(FOLDER / f"{name}-{load}.lua")]
    said = subprocess.run(
        [*words, f"http://127.0.0.1:{port}{PEERS[name].path}"], capture_output=True, text=True, check=True
    ).stdout
    count = int(re.search(r"(\d+) requests in", said)[1])  # type: ignore[index]
    into["rps"].append(float(re.search(r"Requests/sec:\s+([\d.]+)", said)[1]))  # type: ignore[index]
    if not count:  # a peer that finished no request in the time has a rate, and neither latency nor cost
        return
    into["cpu"].append((cpu(process) - before) / count * 1e6)
    for quantile in ("50", "99"):
        value, unit = re.search(rf"{quantile}%\s+([\d.]+)(us|ms|s)", said).groups()  # type: ignore[union-attr]
        into[f"p{quantile}"].append(float(value) * {"us": 1e-3, "ms": 1.0, "s": 1e3}[unit])
    errors = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    into["errors"].append(float(errors[1]) if errors else 0.0)


def cpu(process: psutil.Process) -> float:
    """Return the CPU seconds used by a process and its children."""
    total = 0.0
    for one in [process, *process.children(recursive=True)]:
        with_children = one.cpu_times()
        total += with_children.user + with_children.system
    return total


def memory(process: psutil.Process) -> float:
    """Return the megabytes held by a process and its children, shared pages counted once."""
    return sum(one.memory_full_info().pss for one in [process, *process.children(recursive=True)]) / 1e6


def soak(process: psutil.Process, port: int, requests: int, into: dict[str, list[float]]) -> None:
    """Record memory before and after that many more requests."""
    into["soak_from"] = [process.memory_info().rss / 1e6]
    done = 0
    while done < requests:
        figures: dict[str, list[float]] = defaultdict(list)
        measure("service", "64", port, process, 5, figures)
        done += round(figures["rps"][0] * 5)
    into["soak_to"], into["soak_requests"] = [process.memory_info().rss / 1e6], [float(done)]


def ratio(figures: dict[str, Figures], name: str, other: str, load: str) -> str:
    """Return the median over the rounds of its rate divided by the other's."""
    if other not in figures or not figures[name][load]["rps"]:
        return "-"
    pairs = zip(figures[name][load]["rps"], figures[other][load]["rps"], strict=True)
    ratios = [one / two for one, two in pairs if two]
    if not ratios:  # the other did not finish one request in the time
        return "-"
    value = statistics.median(ratios)
    return f"{value:.3f}" if value < 0.1 else f"{value:.2f}" if value < 10 else f"{value:.0f}"


def table(figures: dict[str, Figures], skipped: dict[str, str], options: argparse.Namespace) -> str:
    head = "| server | x empty at 1 / 64 | x mlflow at 1 / 64 | 1000 rows, x mlflow | p50 / p99 ms at 64 | CPU µs at 64 | start s | MB |"
    lines = [head, "|---|---|---|---|---|---|---|---|"]
    for name in [name for name in figures if name not in skipped]:
        of = figures[name]
        middle = {key: statistics.median(of["64"][key] or [math.nan]) for key in ("p50", "p99", "cpu")}
        rates = [" / ".join(ratio(figures, name, other, load) for load in ("1", "64")) for other in ("empty", "mlflow")]
        batch = "-" if name in ("empty", "raw") else ratio(figures, name, "mlflow", "rows")
        latency = f"{middle['p50']:.3g} / {middle['p99']:.3g}"
        started, held = statistics.median(of["start"]["s"]), of["memory"]["mb"][0]
        cells = [PEERS[name].title, *rates, batch, latency, f"{middle['cpu']:.0f}", f"{started:.2f}", f"{held:.0f}"]
        lines.append(f"| {' | '.join(cells)} |")
    errors = sum(sum(of[load]["errors"]) for of in figures.values() for load in LOADS)
    said = (
        f"`benchmarks/serving.py --rounds {options.rounds} --seconds {options.seconds}`, {errors:.0f} failed requests."
    )
    if "soak_to" in figures["service"]["memory"]:
        kept = figures["service"]["memory"]
        said += (
            f" Memory of this service: {kept['soak_from'][0]:.0f} MB, and {kept['soak_to'][0]:.0f} MB after "
            f"{kept['soak_requests'][0]:,.0f} more requests."
        )
    for name, why in skipped.items():
        said += f"\n{PEERS[name].title} was not measured: {why}"
    return "\n".join([*lines, "", said])


def write(text: str) -> None:
    """Replace the table between its two marks in docs/benchmarks.md; the rest stays."""
    print(text)
    page = PAGE.read_text() if PAGE.exists() else "# Figures\n"
    begin, end = "<!-- serving: begin -->", "<!-- serving: end -->"
    if begin not in page:
        page = f"{page.rstrip()}\n\n{HEADING}\n{begin}\n{end}\n"
    head, rest = page.split(begin)
    _, tail = rest.split(end)
    PAGE.write_text(f"{head}{begin}\n{text}\n{end}{tail}")


if __name__ == "__main__":
    main()
