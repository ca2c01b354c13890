"""Many seeds over hours: each finished seed is a line in a file, and who starts again goes on after them."""

import hashlib
import json
import multiprocessing
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from simulation import ROOT
from simulation.shrink import smallest
from simulation.world import Action
from simulation.year import History, perform, plan


class Ended(NamedTuple):
    """What became of a seed: `digest` is that of its history, `broken` the violation and `small` its smallest history."""

    seed: int
    weeks: int
    commit: str
    date: str
    digest: str
    seconds: float
    broken: str = ""
    small: str = ""


def told(actions: list[Action]) -> str:
    """The actions as a file that `--history` takes."""
    return "\n".join(json.dumps(action) for action in actions)


def read(text: str) -> list[Action]:
    actions = [Action(*json.loads(line)) for line in text.splitlines() if line.strip()]
    return [action._replace(fault=tuple(action.fault) if action.fault else None) for action in actions]


def digest(history: History) -> str:
    """The same for the same history."""
    return hashlib.sha256("\n".join(history.lines).encode()).hexdigest()[:16]


def known(file: Path | None, weeks: int, commit: str) -> list[Ended]:
    """The seeds that have ended with this commit and as many weeks; a line that was cut off counts as none."""
    found = []
    for line in file.read_text().splitlines() if file and file.exists() else []:
        try:
            found.append(Ended(**json.loads(line)))
        except (ValueError, TypeError):
            continue
    return [ended for ended in found if (ended.weeks, ended.commit) == (weeks, commit)]


def version() -> str:
    """The commit, with a mark if files of it are changed."""
    command = ["git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def one(seed: int, weeks: int, commit: str, shrunk: bool = True) -> Ended:
    """Simulate a seed. An error of the simulation itself is a violation, too: it stops no other seed."""
    began, actions = time.monotonic(), plan(seed, weeks)
    broken, small, found = "", "", ""
    try:
        history = perform(actions)
        found = digest(history)
        if history.violation:
            broken = str(history.violation)
            small = told(smallest(actions, history.violation.rule) if shrunk else actions)
    except Exception:
        broken = traceback.format_exc()
        small = small or told(actions)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return Ended(seed, weeks, commit, now, found, round(time.monotonic() - began, 1), broken, small)


def run(seeds: Iterable[int], weeks: int, processes: int, file: Path | None = None,
        call: Callable[..., Ended] = one) -> Iterator[Ended]:  # fmt: skip
    """Simulate the seeds that the file does not have yet, write each down as soon as it has ended, and yield it."""
    commit = version()
    done = {ended.seed for ended in known(file, weeks, commit)}
    context = multiprocessing.get_context("forkserver" if sys.platform == "linux" else "spawn")
    context.set_forkserver_preload(["simulation.campaign"])  # else each process reads all modules
    # Not with `max_tasks_per_child`: after so many tasks the pool waits forever (github.com/python/cpython/issues/115634).
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        waiting = [pool.submit(call, seed, weeks, commit) for seed in seeds if seed not in done]
        for future in as_completed(waiting):
            ended = future.result()
            if file:
                note(file, ended)
            yield ended


def note(file: Path, ended: Ended) -> None:
    """Add a line, after the end of one that was cut off."""
    content: dict[str, Any] = ended._asdict()
    with file.open("a+b") as lines:
        lines.seek(0, 2)
        if lines.tell():
            lines.seek(-1, 2)
            whole = lines.read() == b"\n"
            lines.write(b"" if whole else b"\n")
        lines.write(json.dumps(content).encode() + b"\n")
