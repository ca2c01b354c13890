"""Measure what a report costs for 1, 10 and 100 models.

    .venv/bin/python benchmarks/many.py

One model's report is measured cold and warm, and so is the listing of models; the rest is computed from these. Minutes are
those of this machine, rounded up per job as GitHub bills them.
"""

import argparse
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
MODELS = (1, 10, 100)
AT_ONCE = 20  # jobs of GitHub's free plan
START = 15  # seconds until a hosted machine has checked out: GitHub's, not measured here


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "one")
        seconds = report(folder)
        print("\n".join(f"{name}: {value:.1f} s" for name, value in seconds.items()))
        lists = {number: listing(Path(scratch, str(number)), number) for number in MODELS}
    print(table(seconds, lists))


def report(folder: Path) -> dict[str, float]:
    """Return the seconds of each step of the job `report`, for a pull request that changes the learning rate."""
    run(ROOT, "git", "clone", "--quiet", str(ROOT), str(folder))
    if (ROOT / ".cache" / "source").is_dir():  # what the source sends is the network's time, not ours
        shutil.copytree(ROOT / ".cache" / "source", folder / ".cache" / "source")
    found = {"install, nothing cached": run(folder, "make", "setup")}
    change(folder, "0.06")
    found["review, nothing cached"] = run(folder, *review())
    run(folder, "git", "checkout", "--quiet", "--", ".")
    change(folder, "0.07")
    found["review, base cached"] = run(folder, *review())
    run(folder, "git", "commit", "--quiet", "--all", "--message", "Results")
    found["review, all cached"] = run(folder, *review())
    return found


def change(folder: Path, rate: str) -> None:
    path = folder / "params.yaml"
    path.write_text(re.sub(r"(?m)^(  learning_rate:) \S+", rf"\1 {rate}", path.read_text()))
    run(folder, "git", "commit", "--quiet", "--all", "--message", f"Learning rate {rate}")


def review() -> tuple[str, ...]:
    return (".venv/bin/python", "-m", "delivery", "review", "--base", "origin/HEAD", "--no-pushes")


def listing(folder: Path, number: int) -> float:
    """Return the seconds of the verb `models` in a repository of that many models, one of which has changed."""
    for model in range(number):
        for name in ("dvc.yaml", "dvc.lock", "params.yaml", "data.dvc", *(f"src/problem/{n}.py" for n in range(5))):
            path = folder / "models" / f"m{model:03d}" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{model} {name}\n")
    run(folder, "git", "init", "--quiet", "--initial-branch=main")
    for message in ("All", "One"):
        (folder / "models" / "m000" / "params.yaml").write_text(message)
        run(folder, "git", "add", "--all")
        run(folder, "git", "commit", "--quiet", "--message", message)
    return run(folder, "python3", "-m", "delivery", "models", "--base", "HEAD~1")


def table(seconds: dict[str, float], lists: dict[int, float]) -> str:
    cold = START + seconds["install, nothing cached"] + seconds["review, nothing cached"]
    warm = START + seconds["review, base cached"]
    lines = [
        "| models changed | listing | jobs | minutes, nothing cached | minutes, cached | wall time, cached |",
        "|" + "---|" * 6,
    ]
    for number, listed in lists.items():
        jobs = number + 3  # in addition: models, required, comment
        each = [number * math.ceil(value / 60) + 3 for value in (cold, warm)]
        rounds = math.ceil(number / AT_ONCE)
        wall = (rounds * warm + 2 * START + listed) / 60
        lines.append(f"| {number} | {listed:.2f} s | {jobs} | {each[0]} | {each[1]} | {wall:.1f} min |")
    return "\n".join(lines)


def run(folder: Path, *words: str) -> float:
    """Run a command and return its seconds; a review with stale results ends with exit code 1, as intended."""
    person = {f"GIT_{who}_{what}": "bench@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    variables = {**os.environ, **person, "PYTHONPATH": str(ROOT / "src") if words[0] == "python3" else ""}
    variables["PYTHONDONTWRITEBYTECODE"] = ""
    start = time.perf_counter()
    done = subprocess.run(words, cwd=folder, env=variables, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1) or "stopped" in done.stdout + done.stderr:
        sys.exit(f"{' '.join(words)}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
