"""`make simulate SEEDS=1000 WEEKS=52`: simulate repositories, and print a small history for each seed that breaks a rule."""

import argparse
import json
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from simulation.shrink import smallest
from simulation.world import Action
from simulation.year import History, perform, plan


def told(actions: list[Action]) -> str:
    """The actions as a file that `--history` takes."""
    return "\n".join(json.dumps(action) for action in actions)


def read(text: str) -> list[Action]:
    actions = [Action(*json.loads(line)) for line in text.splitlines() if line.strip()]
    return [action._replace(fault=tuple(action.fault) if action.fault else None) for action in actions]


def main() -> int:
    parser = argparse.ArgumentParser(prog="simulate", description="Simulate repositories, each by a seed.")
    parser.add_argument("--seeds", type=int, default=20, help="how many (default: %(default)s)")
    parser.add_argument("--first", type=int, default=0, help="the first seed (default: %(default)s)")
    parser.add_argument("--weeks", type=int, default=12, help="weeks of each (default: %(default)s)")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="at once (default: one for each core)")
    parser.add_argument("--history", type=Path, help="file with the actions of one history, to perform again")
    options = parser.parse_args()
    if options.history:
        history = perform(read(options.history.read_text()))
        print("\n".join(history.lines), history.violation or "no rule is broken", sep="\n")
        return int(history.violation is not None)
    began, broken = time.monotonic(), 0
    with ProcessPoolExecutor(options.processes) as pool:
        seeds = range(options.first, options.first + options.seeds)
        for seed, history in zip(seeds, pool.map(partial(_of, weeks=options.weeks), seeds), strict=True):
            if history.violation is None:
                print(f"seed {seed}: no rule is broken", flush=True)
                continue
            broken += 1
            small = smallest(plan(seed, options.weeks), history.violation.rule)
            print(f"seed {seed}: {history.violation}\n{told(small)}", flush=True)
    years = options.seeds * options.weeks / 52
    print(f"{years:.1f} years in {time.monotonic() - began:.0f} s; {broken} of {options.seeds} seeds break a rule")
    return int(broken > 0)


def _of(seed: int, weeks: int) -> History:
    return perform(plan(seed, weeks))


if __name__ == "__main__":
    sys.exit(main())
