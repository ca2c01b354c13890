"""The log of drift decisions in the store: one line of JSON for each check, written by `drift --push`."""

import json
import shutil
from datetime import UTC, datetime

from delivery.adapters import provenance, store
from delivery.core import files, workspace
from delivery.core.errors import Failure

README = workspace.DRIFT_LOG.parent / "README.md"
TEXT = """# Drift decisions

`log.jsonl`: one line for each check: when, which month, what was decided and why, what it cost. Cool-down, budgets
and confirmation read it. `windows/`: what challengers gained on each month, so that no check fits them twice.
"""


def read() -> list[dict]:
    """The checks so far, oldest first; none where nothing was kept yet. Raises Failure for a broken line."""
    if not workspace.DRIFT_LOG.exists():
        return []
    entries = []
    for number, line in enumerate(workspace.DRIFT_LOG.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            entries.append(json.loads(line))
        except ValueError:
            raise Failure(
                f"{workspace.DRIFT_LOG}, line {number} is not JSON; take the line from the branch's history"
            ) from None
    return entries


def entry(result: dict) -> dict:
    """What is kept of a check."""
    names = ("month", "verdict", "retrain", "withdraw", "why", "champion", "champion_trained_on", "rows", "seconds")
    kept = {"date": datetime.now(UTC).isoformat(timespec="seconds")} | {name: result[name] for name in names}
    kept["champion_trained_on"] = f"{result['champion_trained_on'][0]} to {result['champion_trained_on'][-1]}"
    return files.rounded(kept) | {"by": provenance.executor()}


def keep(result: dict) -> str:
    """Appends the check to the log and pushes the store; who comes second appends again. Returns what was done.

    Raises Failure when the store cannot be reached: the line is kept on this machine.
    """
    line = json.dumps(entry(result), ensure_ascii=False) + "\n"

    def append() -> None:
        workspace.DRIFT_LOG.parent.mkdir(parents=True, exist_ok=True)
        files.write(README, TEXT)
        with workspace.DRIFT_LOG.open("a", encoding="utf-8") as file:
            file.write(line)
        for made in result["windows"]:
            fresh, kept = (folder / f"{made}.json" for folder in (workspace.WINDOWS_CACHE, workspace.WINDOWS_KEPT))
            if fresh.exists() and not kept.exists():
                kept.parent.mkdir(exist_ok=True)
                shutil.copy(fresh, kept)

    store.ready()
    append()
    return store.push(f"Drift check of {result['month']}", redo=append)
