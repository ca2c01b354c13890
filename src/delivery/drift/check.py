"""Check one period: gather the evidence, have it judged, and write drift.json, drift.md and the plots."""

import hashlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from msgspec.structs import asdict, replace

from delivery.core import files, workspace
from delivery.core.errors import Failure
from delivery.core.params import Params
from delivery.data import prepared
from delivery.drift import arrival, decisions, evidence, judgement, page, plots, served
from delivery.drift.findings import Realised
from delivery.drift.judgement import Outcome, Question
from delivery.drift.result import Decision, DriftResult, as_document
from delivery.drift.verdicts import LogEntry
from delivery.model import skopsfile
from delivery.pipeline import validate
from delivery.stats.predictions import predictions
from problem import FEATURES, KEY, LABEL, PERIOD, periods, predict

PAST = 5  # decisions shown on the page


def nothing(until: str) -> Decision:
    """Write that nothing is due, so that the verbs that read drift.json next do not find the last decision."""
    why = f"every period after {until} in the source is decided: there is nothing new"
    decision = Decision(until, "wait", retrain=False, withdraw=False, why=why)
    write(decision, f"**No decision: {why}.**\n")
    return decision


def run(
    settings: Params, period: str, log: Path | None = None, history: Sequence[LogEntry] | None = None
) -> DriftResult:
    """Judge the champion on the period, after the checks in `history` (default: the log's), and write drift.json and drift.md.

    Fetch until `period` into a folder outside data/ unless it exists. Raise `Failure` and write nothing for data that
    break their schema or that the champion was trained on.
    """
    start = time.monotonic()
    champion, seen, test = skopsfile.load(workspace.MODEL), prepared.read("train"), prepared.read("test")
    trained = trained_periods(seen, period)
    folder, examples = arrival.checked(period, settings)
    now = examples[examples[PERIOD] == period].reset_index(drop=True)
    scores = [predict(champion, rows[list(FEATURES)]) for rows in (seen, test, now)]
    shifted, findings = evidence.gather(seen, test, now, scores, settings)
    age = evidence.data_age(seen, now, period, periods())
    batch = realised_batch(examples)
    requests = served.served_facts(log, examples, unserved(champion, examples, test), settings) if log else None
    history = decisions.read() if history is None else history
    question = Question(period, champion, files.digest(workspace.MODEL)[:12], trained[-1], examples, folder)
    if why := judgement.waiting(question, age.days, settings.drift):
        outcome = Outcome("wait", why)
    else:  # until labels are there, features that are made of earlier ones are missing
        validate.refuse_jumps({"features": shifted}, settings.validate.missing_jump)
        outcome = judgement.decide(question, str(test[PERIOD].max()), history, settings)
    result = DriftResult(
        period=period,
        rows=int(now[LABEL].notna().sum()),
        champion=question.digest,
        champion_trained_on=trained,
        found=findings,
        evidence=shifted,
        age=age,
        revisions=tuple(evidence.revisions(workspace.DATA, folder)),
        history=tuple(history[-PAST:]),
        batch=batch,
        served=requests,
        verdict=outcome.verdict,
        why=outcome.why,
        **asdict(outcome.measured),
        **asdict(outcome.confirmation),
        seconds=time.monotonic() - start,
        data=digest(examples, trained[-1]),
    )
    write(result, page.markdown(result))
    return result


def write(result: DriftResult | Decision, text: str) -> None:
    """Write drift.json, and `text` as drift.md."""
    files.write_json(workspace.DRIFT, as_document(result))
    files.write(workspace.DRIFT_PAGE, text)


def data(period: str, settings: Params) -> str:
    """Return the digest of the rows that a decision on the period rests on. Raise `Failure` as `run` does."""
    trained = trained_periods(prepared.read("train"), period)
    return digest(arrival.checked(period, settings)[1], trained[-1])


def digest(examples: pd.DataFrame, since: str) -> str:
    """Return a digest of the labelled rows after the period `since`, whatever their order."""
    rows = examples.loc[(examples[PERIOD] > since) & examples[LABEL].notna(), [*FEATURES, LABEL]]
    hashes = np.sort(pd.util.hash_pandas_object(rows, index=False).to_numpy())
    return hashlib.sha256(hashes.tobytes()).hexdigest()[:16]


def trained_periods(seen: pd.DataFrame, period: str) -> tuple[str, ...]:
    """Return the periods of the champion's training rows. Raise `Failure` if `period` is not after them."""
    trained = tuple(sorted(seen[PERIOD].unique()))
    if period <= trained[-1]:
        raise Failure(f"the champion was trained until {trained[-1]}: {period} is not new to it; take a later period")
    return trained


def realised_batch(examples: pd.DataFrame) -> Realised | None:
    """Return the loss of the batch predictions in the store, or None if there are none."""
    scored = served.batch_predictions(workspace.BATCH_KEPT)
    return served.realised_loss(*served.join_examples(scored, examples, KEY)) if len(scored) else None


def unserved(champion: Any, examples: pd.DataFrame, test: pd.DataFrame) -> pd.DataFrame:
    """Return predictions for the champion's test periods, including rows without a label; nobody acted upon these predictions."""
    rows = examples[examples[PERIOD].isin(test[PERIOD].unique())]
    return predictions(rows, predict(champion, rows[list(FEATURES)]))


def conclude(result: DriftResult, withdrawal: str = "") -> None:
    """Write drift.json and drift.md of the check that decides what follows from a run; others may have been made after it.

    `withdrawal`: why an earlier period of the run withdraws an open proposal.
    """
    if withdrawal:
        result = replace(result, withdraw=True, why=f"{result.why}; {withdrawal}")
    write(result, page.markdown(result))


def draw(result: DriftResult, settings: Params) -> None:
    """Write drift.shift.png and, if a challenger was trained, drift.gains.png."""
    files.write(workspace.REPORTS / "drift.shift.png", plots.shift(result.evidence, settings.drift.psi_alarm))
    if result.gains:
        files.write(workspace.REPORTS / "drift.gains.png", plots.gains(result.gains, settings.drift.min_gain))
