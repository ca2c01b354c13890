"""Read and write the log of drift decisions in the store: one line of JSON for each check, by `drift --push`."""

import json
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from delivery.adapters import provenance, store
from delivery.core import files, workspace
from delivery.core.errors import Failure
from delivery.data import freshness
from delivery.data.freshness import Arrivals
from delivery.drift.result import DriftResult
from delivery.drift.verdicts import LogEntry

FIX = "restore the line from the history of the store's branch"
README = workspace.DRIFT_LOG.parent / "README.md"
TEXT = """# Drift decisions

`log.jsonl`: one line for each check: when, which period, what was decided and why, what it cost. Cool-down, budgets
and confirmation read it. `windows/`: what challengers gained in each period, so that no check fits them twice.
`arrivals.json`: the newest row and label of the source, for `doctor` and `status`.
"""


def read() -> list[LogEntry]:
    """Return the checks so far, oldest first; none if nothing was recorded yet. Raise `Failure` for a broken line."""
    if not workspace.DRIFT_LOG.exists():
        return []
    entries = []
    for number, line in enumerate(workspace.DRIFT_LOG.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            entries.append(msgspec.json.decode(line, type=LogEntry))
        except msgspec.ValidationError as error:
            raise Failure(f"{_line(number)} is not a decision ({error}); {FIX}") from None
        except msgspec.DecodeError:
            raise Failure(f"{_line(number)} is not JSON; {FIX}") from None
    return entries


def _line(number: int) -> str:
    return f"{workspace.DRIFT_LOG}, line {number}"


def entry(result: DriftResult) -> LogEntry:
    """Return the log's entry of a check that ends now."""
    return LogEntry(
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        period=result.period,
        verdict=result.verdict,
        retrain=result.retrain,
        withdraw=result.withdraw,
        why=result.why,
        champion=result.champion,
        version=result.serving.version,
        environment=result.serving.environment,
        champion_trained_on=f"{result.champion_trained_on[0]} to {result.champion_trained_on[-1]}",
        rows=result.rows,
        seconds=result.seconds,
        by=provenance.executor(),
        data=result.data,
    )


def encoded(kept: LogEntry) -> str:
    """Return the line of the log, rounded as in a file."""
    return json.dumps(files.rounded(msgspec.to_builtins(kept)), ensure_ascii=False) + "\n"


def record(entries: Sequence[LogEntry], windows: Sequence[str], arrived: Arrivals) -> str:
    """Append checks to the log, keep what their challengers gained and what has arrived, and push the store; return what was done.

    `windows`: keys of `challenger.windows`. A writer that loses the race appends again to the newer store. Raise `Failure`
    if the store cannot be reached; the lines stay on this machine.
    """
    lines = "".join(map(encoded, entries))

    def append() -> None:
        workspace.DRIFT_LOG.parent.mkdir(parents=True, exist_ok=True)
        files.write(README, TEXT)
        with workspace.DRIFT_LOG.open("a", encoding="utf-8") as file:
            file.write(lines)
        freshness.write(freshness.latest(freshness.read(), arrived))
        for key in windows:
            fresh, kept = (folder / f"{key}.json" for folder in (workspace.WINDOWS_CACHE, workspace.WINDOWS_KEPT))
            if fresh.exists() and not kept.exists():
                kept.parent.mkdir(exist_ok=True)
                shutil.copy(fresh, kept)

    store.ready()
    append()
    of = f"of {entries[-1].period}" if entries else "without a new period"
    return store.push(f"Drift check {of}", redo=append)
