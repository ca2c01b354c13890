"""A source whose periods arrive, and stand-ins for what a check of drift and a batch compute from its rows.

The verdict on a period follows from its name and the champion; cool-down, budgets and confirmation are the real policy's.
"""

import hashlib
import json
from pathlib import Path
from types import SimpleNamespace

import yaml

from delivery.adapters import dvc, provenance
from delivery.core import files, params, workspace
from delivery.data import fetch, tables
from delivery.drift import agenda, check, decisions, drift, judgement, policy, retrain
from delivery.drift.result import Decision, Verdict, as_document
from delivery.registry import registry
from delivery.scoring import batch

FIRST = 5  # periods that the first model knows
VERDICTS: tuple[Verdict, ...] = ("retrain", "retrain", "no", "no", "hold", "wait")


class Source:
    """The periods that are there."""

    def __init__(self) -> None:
        self.arrived = FIRST

    def periods(self) -> list[str]:
        return [f"{2013 + number // 12}-{number % 12 + 1:02d}" for number in range(self.arrived)]

    def into(self, folder: Path, until: str) -> str:
        """In place of `fetch.into`."""
        tables.expected(until)
        files.write(folder / "until", until)
        return f"fetch: {folder} holds periods up to {until}"

    def replaced(self) -> list:
        return [
            *((module, "periods", self.periods) for module in (tables, check, judgement, agenda)),
            *((module, "into", self.into) for module in (fetch, drift, batch, agenda)),
            (check, "run", checked), (check, "data", data), (check, "draw", lambda *_: None), (batch, "run", scored),
            (retrain, "body", lambda period: f"Period {period}.\n"),
        ]  # fmt: skip


def data_file(until: str) -> str:
    """data.dvc for the data until a period."""
    return yaml.safe_dump({"outs": [{"md5": f"{dvc.digest(until.encode())}.dir", "path": "data"}]})


def checked(settings: params.Params, period: str, log: Path | None = None) -> SimpleNamespace:
    """In place of `drift.check.run`."""
    champion, since, history = files.digest(workspace.MODEL)[:12], settings.fetch.until, decisions.read()
    if period <= since:
        raise AssertionError(f"{period} is not new to a model of {since}")
    number = int.from_bytes(hashlib.sha256(f"{champion} {period}".encode()).digest()[:2], "big")
    verdict, why = VERDICTS[number % len(VERDICTS)], "so it is here"
    judged = verdict if verdict in ("retrain", "hold", "no") else None
    confirmed = judgement.NOTHING_FOLLOWS
    today = provenance.now()[:10]
    if verdict != "wait" and (hindered := policy.hindrance(history, period, check.periods(), since, settings.drift)):
        verdict, why = "skip", hindered
    elif verdict != "wait" and (spent := policy.spent(history, today, settings.drift)):
        verdict, why = "wait", spent
    elif judged:
        confirmed = policy.confirm(judged, period, champion, history, settings.drift)
    follows = {"retrain": confirmed.retrain, "withdraw": confirmed.withdraw}
    files.write_json(workspace.DRIFT, as_document(Decision(period, verdict, why=why, **follows)))
    files.write(workspace.DRIFT_PAGE, f"{verdict}: {why}\n")
    return SimpleNamespace(
        period=period, verdict=verdict, why=why, champion=champion, champion_trained_on=(since,), rows=100, seconds=1.0,
        windows=(), data=data(period, settings), **follows,
    )  # fmt: skip


def data(period: str, settings: params.Params) -> str:
    """In place of `drift.check.data`: nothing is corrected."""
    return period


def scored(period: str, which: str, engine: str = "memory") -> batch.Scored:
    """In place of `batch.run`: the version that serves scores a hundred rows."""
    version = batch.serving(which)
    folder = registry.download(version, workspace.CACHE / "versions" / version.number)
    model = (folder / "model.skops").read_text()
    files.write(workspace.BATCH / period / "predictions.parquet", f"{model} {period}")
    made = batch.Scored(
        month=period, version=version.number, model=version.digest, commit=version.commit, data=period, rows=100, mean=0.2,
        scored=provenance.now(), by=provenance.executor(),
    )  # fmt: skip
    files.write(workspace.BATCH / period / "about.json", json.dumps({"month": period, "version": version.number}))
    return made
