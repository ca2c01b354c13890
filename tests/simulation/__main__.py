"""`make simulate SEEDS=1000 WEEKS=52`: simulate repositories, and print a small history for each seed that breaks a rule."""

import argparse
import os
import sys
import time
from pathlib import Path

from simulation import campaign
from simulation.year import perform


def main() -> int:
    parser = argparse.ArgumentParser(prog="simulate", description="Simulate repositories, each by a seed.")
    parser.add_argument("--seeds", type=int, default=20, help="how many (default: %(default)s)")
    parser.add_argument("--first", type=int, default=0, help="the first seed (default: %(default)s)")
    parser.add_argument("--weeks", type=int, default=12, help="weeks of each (default: %(default)s)")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="at once (default: one for each core)")
    parser.add_argument("--history", type=Path, help="file with the actions of one history, to perform again")
    parser.add_argument("--kept", type=Path, help="file of finished seeds, a line of JSON each; start again to resume")
    options = parser.parse_args()
    if options.history:
        history = perform(campaign.read(options.history.read_text()))
        print("\n".join(history.lines), history.violation or "no rule is broken", sep="\n")
        return int(history.violation is not None)
    seeds, began = range(options.first, options.first + options.seeds), time.monotonic()
    ended = [each for each in campaign.known(options.kept, options.weeks, campaign.version()) if each.seed in seeds]
    resumed, width = len(ended), 0
    for each in campaign.run(seeds, options.weeks, options.processes, options.kept):
        ended.append(each)
        if each.broken:
            print(f"{'':{width}}\rseed {each.seed}: {each.broken}\n{each.small}", flush=True)
        left = (time.monotonic() - began) / (len(ended) - resumed) * (options.seeds - len(ended))
        line = f"{len(ended)} of {options.seeds} seeds, {sum(bool(one.broken) for one in ended)} broken, {left / 60:.0f} min left"
        width = max(width, len(line))
        print(f"{line:{width}}", end="\r" if sys.stdout.isatty() else "\n", flush=True)
    broken = sorted(each.seed for each in ended if each.broken)
    years = options.seeds * options.weeks / 52
    print(
        f"{years:.1f} years, {time.monotonic() - began:.0f} s; {len(broken)} of {options.seeds} seeds break a rule {broken or ''}"
    )
    return int(bool(broken))


if __name__ == "__main__":
    sys.exit(main())
