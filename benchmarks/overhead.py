"""Measure the pipeline's overhead: as DVC stages against the same stages in one plain process.

    .venv/bin/python benchmarks/overhead.py [--rounds 3]

Both do all of the work on the whole sample, alternating, in two clones of this repository. Then the no-op: `dvc repro`
with nothing to do against the same command on a pipeline of one empty stage.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PLAIN = """
import importlib
from delivery.core import params
settings = params.load()
for name in ("validate", "prepare", "train", "export", "evaluate"):
    importlib.import_module(f"delivery.{name}").run(settings)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as scratch:
        piped, plain, empty = (clone(Path(scratch, name)) for name in ("piped", "plain", "empty"))
        repro = [sys.executable, "-m", "dvc", "repro", "--quiet"]
        whole = [
            (timed([*repro, "--force"], piped), timed([sys.executable, "-c", PLAIN], plain)) for _ in range(rounds)
        ]
        (empty / "dvc.yaml").write_text("stages:\n  empty:\n    cmd: 'true'\n")
        (empty / "data.dvc").unlink()
        timed(repro, empty)
        idle = [(timed(repro, piped), timed(repro, empty)) for _ in range(rounds * 3)]
    tell("whole pipeline", whole, "one process")
    tell("nothing to do", idle, "one empty stage")


def clone(folder: Path) -> Path:
    """Clone the committed state and put the raw data in place."""
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    source, kept = ROOT / ".cache" / "source", folder / ".cache" / "source"
    if source.is_dir():
        shutil.copytree(source, kept)
    timed([sys.executable, "-m", "delivery", "fetch"], folder)
    return folder


def timed(command: list[str], folder: Path) -> float:
    """Run a command with its clone's code first on the path; return wall-clock seconds."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
    own = {"PATH": path, "PYTHONPATH": str(folder / "src"), "PYTHONDONTWRITEBYTECODE": ""}
    environment = os.environ | threads | own
    start = time.perf_counter()
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
    return time.perf_counter() - start


def tell(what: str, pairs: list[tuple[float, float]], other: str) -> None:
    ours, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(a / b for a, b in pairs)
    print(f"{what}: {ours:.2f} s, {other} {theirs:.2f} s; difference {ours - theirs:+.2f} s, ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
