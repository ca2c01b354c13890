"""Check one period: gather the evidence, have it judged, and write drift.json, drift.md and the plots."""

import hashlib
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from msgspec.structs import asdict, replace

from delivery.core import files, workspace
from delivery.core.errors import Failure
from delivery.core.params import Params
from delivery.data import freshness
from delivery.drift import arrival, champion, decisions, evidence, judgement, page, plots, served
from delivery.drift.champion import Champion, Judged
from delivery.drift.findings import Realised
from delivery.drift.judgement import Outcome, Question
from delivery.drift.result import Decision, DriftResult, as_document
from delivery.drift.verdicts import LogEntry
from delivery.pipeline import validate
from delivery.stats.predictions import predictions
from problem import FEATURES, KEY, LABEL, PERIOD, TIME, periods

PAST = 5  # decisions shown on the page


def nothing(until: str) -> Decision:
    """Write that nothing is due, so that the verbs that read drift.json next do not find the last decision."""
    why = f"every period after {until} in the source is decided: there is nothing new"
    decision = Decision(until, "wait", retrain=False, withdraw=False, why=why)
    write(decision, f"**No decision: {why}.**\n")
    return decision


def run(
    settings: Params,
    period: str,
    log: Path | None = None,
    history: Sequence[LogEntry] | None = None,
    *,
    who: Champion | None = None,
) -> DriftResult:
    """Judge the champion on the period, after the checks in `history` (default: the log's), and write drift.json and drift.md.

    `who`: the champion, by default the version that serves now.

    Fetch until `period` into a folder outside data/ unless it exists. Raise `Failure` and write nothing for data that
    break their schema or that the champion was trained on.
    """
    start = time.monotonic()
    who = who or champion.find(settings)
    refuse_seen(champion.trained_until(who), period)
    folder, arrived = arrival.checked(period, settings)
    seen, test, examples, score = judged = champion.rows(who, arrived, folder, period, settings)
    trained = trained_periods(seen, period)
    now = examples[examples[PERIOD] == period].reset_index(drop=True)
    scores = [score(rows) for rows in (seen, test, now)]
    shifted, findings = evidence.gather(seen, test, now, scores, settings)
    age = evidence.data_age(seen, now, period, periods())
    batch = realised_batch(examples)
    requests = served.served_facts(log, examples, unserved(judged), settings, who=who) if log else None
    history = decisions.read() if history is None else history
    question = Question(period, score, who.digest, who.key, trained[-1], examples, folder)
    if why := judgement.waiting(question, age.days, settings.drift):
        outcome = Outcome("wait", why)
    else:  # until labels are there, features that are made of earlier ones are missing
        validate.refuse_jumps({"features": shifted}, settings.validate.missing_jump)
        since = max(str(test[PERIOD].max()), settings.fetch.until)  # main's may be newer than what serves
        outcome = judgement.decide(question, since, history, settings)
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
        serving=who.serving,
        arrived=freshness.newest(arrived[TIME], arrived[LABEL]),
        data=digest(arrived, trained[-1]),
    )
    write(result, page.markdown(result))
    return result


def write(result: DriftResult | Decision, text: str) -> None:
    """Write drift.json, and `text` as drift.md."""
    files.write_json(workspace.DRIFT, as_document(result))
    files.write(workspace.DRIFT_PAGE, text)


def data(period: str, settings: Params, who: Champion | None = None) -> str:
    """Return the digest of the rows that a decision on the period rests on. Raise `Failure` as `run` does."""
    since = champion.trained_until(who or champion.find(settings))
    refuse_seen(since, period)
    return digest(arrival.checked(period, settings)[1], since)


def digest(examples: pd.DataFrame, since: str) -> str:
    """Return a digest of the labelled rows after the period `since`, whatever their order."""
    rows = examples.loc[(examples[PERIOD] > since) & examples[LABEL].notna(), [*FEATURES, LABEL]]
    hashes = np.sort(pd.util.hash_pandas_object(rows, index=False).to_numpy())
    return hashlib.sha256(hashes.tobytes()).hexdigest()[:16]


def trained_periods(seen: pd.DataFrame, period: str) -> tuple[str, ...]:
    """Return the periods of the champion's training rows. Raise `Failure` if `period` is not after them."""
    trained = tuple(sorted(seen[PERIOD].unique()))
    refuse_seen(trained[-1], period)
    return trained


def refuse_seen(trained_until: str, period: str) -> None:
    """Raise `Failure` if the champion has learnt from the period."""
    if period <= trained_until:
        raise Failure(f"the champion was trained until {trained_until}: {period} is not new to it; take a later period")


def realised_batch(examples: pd.DataFrame) -> Realised | None:
    """Return the loss of the batch predictions in the store, or None if there are none."""
    scored = served.batch_predictions(workspace.BATCH_KEPT)
    return served.realised_loss(*served.join_examples(scored, examples, KEY)) if len(scored) else None


def unserved(judged: Judged) -> pd.DataFrame:
    """Return predictions for the champion's test periods, including rows without a label; nobody acted upon these predictions."""
    rows = judged.examples[judged.examples[PERIOD].isin(judged.test[PERIOD].unique())]
    return predictions(rows, judged.score(rows))


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
