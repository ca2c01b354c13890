"""A source whose periods arrive, and stand-ins for what a check of drift and a batch compute from its rows.

The verdict on a period follows from its name and the champion; cool-down, budgets and confirmation are the real policy's.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import msgspec
import yaml

from delivery.adapters import dvc, provenance
from delivery.adapters.batch_records import Record, Scored
from delivery.core import files, params, workspace
from delivery.data import fetch, tables
from delivery.data.freshness import Arrivals
from delivery.drift import agenda, champion, check, decisions, drift, judgement, policy, retrain
from delivery.drift.champion import Champion
from delivery.drift.result import Decision, Verdict, as_document
from delivery.drift.verdicts import LogEntry
from delivery.pipeline import validate
from delivery.registry import registry
from delivery.registry.version import Version
from delivery.scoring import batch, scorer

FIRST = 5  # periods that the first model knows
VERDICTS: tuple[Verdict, ...] = ("retrain", "retrain", "no", "no", "hold", "wait")


class Source:
    """The periods that are there, and how often the rows of each were corrected."""

    def __init__(self) -> None:
        self.arrived = FIRST
        self.corrected = Counter[str]()

    def periods(self) -> list[str]:
        return [f"{2013 + number // 12}-{number % 12 + 1:02d}" for number in range(self.arrived)]

    def into(self, folder: Path, until: str) -> str:
        """In place of `fetch.into`."""
        tables.expected(until)
        files.write(folder / "until", until)
        for period in tables.expected(until):
            files.write(folder / period, self.rows(period))
        return f"fetch: {folder} holds periods up to {until}"

    def rows(self, period: str) -> str:
        return f"{period} {self.corrected[period]}"

    def data(self, period: str, settings: params.Params, who: Champion | None = None) -> str:
        """In place of `drift.check.data`."""
        return " ".join(self.rows(name) for name in self.periods() if settings.fetch.until < name <= period)

    def checked(
        self,
        settings: params.Params,
        period: str,
        log: Path | None = None,
        history=None,
        *,
        who: Champion | None = None,
    ) -> SimpleNamespace:
        """In place of `drift.check.run`."""
        history = decisions.read() if history is None else history
        return checked(settings, period, self.data(period, settings), history, who or champion.find(settings))

    def replaced(self) -> list:
        return [
            *((module, "periods", self.periods) for module in (tables, check, judgement, agenda, batch)),
            *((module, "into", self.into) for module in (fetch, drift, scorer, agenda)),
            (check, "run", self.checked), (check, "data", self.data), (check, "draw", lambda *_: None), (check, "conclude", concluded),
            (validate, "inspect", lambda *_: None), (scorer, "score", scored), (scorer, "inputs", inputs),
            (retrain, "body", lambda period: f"Period {period}.\n"),
        ]  # fmt: skip


def data_file(until: str) -> str:
    """data.dvc for the data until a period."""
    return yaml.safe_dump({"outs": [{"md5": f"{dvc.digest(until.encode())}.dir", "path": "data"}]})


def checked(
    settings: params.Params, period: str, data: str, history: Sequence[LogEntry], who: Champion
) -> SimpleNamespace:
    """What a check finds, and writes."""
    since = max(settings.fetch.until, who.until)
    if period <= since:
        raise AssertionError(f"{period} is not new to a model of {since}")
    number = int.from_bytes(hashlib.sha256(f"{who.digest} {period}".encode()).digest()[:2], "big")
    verdict, why = VERDICTS[number % len(VERDICTS)], "so it is here"
    judged = verdict if verdict in ("retrain", "hold", "no") else None
    confirmed = judgement.NOTHING_FOLLOWS
    today = provenance.now()[:10]
    if verdict != "wait" and (hindered := policy.hindrance(history, period, check.periods(), since, settings.drift)):
        verdict, why = "skip", hindered
    elif verdict != "wait" and (spent := policy.spent(history, today, settings.drift)):
        verdict, why = "wait", spent
    elif judged:
        confirmed = policy.confirm(judged, period, who.digest, history, settings.drift)
    follows = {"retrain": confirmed.retrain, "withdraw": confirmed.withdraw}
    result = SimpleNamespace(
        period=period, verdict=verdict, why=why, champion=who.digest, serving=who.serving, champion_trained_on=(since,),
        rows=100, seconds=1.0,
        windows=(), data=data, arrived=Arrivals(), **follows,
    )  # fmt: skip
    concluded(result)
    return result


def concluded(result: SimpleNamespace, withdrawal: str = "") -> None:
    """In place of `drift.check.conclude`."""
    withdraw, why = result.withdraw or bool(withdrawal), f"{result.why} {withdrawal}".strip()
    decision = Decision(result.period, result.verdict, retrain=result.retrain, withdraw=withdraw, why=why)
    files.write_json(workspace.DRIFT, as_document(decision))
    files.write(workspace.DRIFT_PAGE, f"{result.verdict}: {why}\n")


def inputs(period: str, data: Path, engine: str = "memory", version: Version | None = None) -> str:
    """In place of `scorer.inputs`."""
    return files.digest(data / period)


def scored(period: str, version: Version, data: Path, engine: str = "memory") -> Record:
    """In place of `scorer.score`: a hundred rows."""
    folder = registry.download(version, workspace.CACHE / "versions" / version.number)
    model = (folder / "model.skops").read_text()
    about = Scored(
        month=period, version=version.number, model=version.digest, commit=version.commit, data=files.digest(data), rows=100,
        mean=0.2, scored=provenance.now(), by=provenance.executor(), inputs=inputs(period, data),
    )  # fmt: skip
    to = workspace.BATCH / period / version.number
    with files.replacing(to) as scratch:
        scratch.mkdir()
        (scratch / "predictions.parquet").write_text(f"{model} {(data / period).read_text()}")
        (scratch / "about.json").write_bytes(msgspec.json.encode(about))
    return Record(to, about)
