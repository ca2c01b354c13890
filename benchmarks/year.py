"""Measure time and memory of `validate` and `batch` with `engine: stream`, on a year of flights drawn a hundred times.

    .venv/bin/python benchmarks/year.py FOLDER [--times 100] [--rounds 3]      # after `dvc repro`

FOLDER, the data and the method are those of features.py. `batch` validates the whole year and scores its newest month, a
twelfth of the rows, with the model in artifacts/train; only the registry that would name the model is left out.
"""

import argparse
import statistics
import sys
from pathlib import Path

from features import drawn, measured, ours

from problem import periods

BATCH = """
import sys
from pathlib import Path
from delivery import __main__
from delivery.registry import registry
from delivery.registry.version import Version
from delivery.scoring import scorer
if __name__ == "__main__":
    scorer.into = lambda folder, until: ""  # the data are there
    registry.champion = lambda: Version(number="0")
    registry.download = lambda version, to: Path(sys.argv[1])
    sys.exit(__main__.main(["batch", "--period", sys.argv[2]]))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--times", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    data = drawn(options.folder.resolve(), options.times)
    prepare, place, _ = ours(options.folder.resolve(), data)
    month = place / ".cache" / "drift" / periods()[-1]
    month.parent.mkdir(parents=True, exist_ok=True)
    month.unlink(missing_ok=True)
    month.symlink_to(data)
    script = place / "batch.py"  # a file: the processes that it starts import it
    script.write_text(BATCH)
    works = {
        "validate": [*prepare[:-1], "validate"],
        "batch": [sys.executable, str(script), str(Path("artifacts/train").resolve()), month.name],
    }
    took: dict[str, list[tuple[float, float]]] = {name: [] for name in works}
    for _ in range(options.rounds):
        for name, command in works.items():
            took[name].append(measured(command, place))
            print(f"{name}: {took[name][-1][0]:.1f} s, {took[name][-1][1]:,.0f} MB", flush=True)
    print("\n| | s | MB |\n|---|---:|---:|")
    for name, pairs in took.items():
        print(f"| {name} | {statistics.median(s for s, _ in pairs):.1f} | {max(mb for _, mb in pairs):,.0f} |")


if __name__ == "__main__":
    main()
