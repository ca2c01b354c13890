"""Verb `drift`: has a month arrived with which a new model would be better?

Every month drifts, so drift alone decides nothing. A challenger trained on all that came before the month is
compared with the champion on the month's own rows; `policy` decides, the tables of what moved are evidence.
"""

import argparse
import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
from msgspec.structs import replace

from delivery.adapters import github, store
from delivery.core import documents, files, params, workspace
from delivery.core.errors import Failure
from delivery.core.params import Params
from delivery.data import prepared, tables
from delivery.data.fetch import into
from delivery.drift import arrival, challenger, decisions, evidence, page, plots, policy, served
from delivery.model import skopsfile
from delivery.pipeline import train, validate
from delivery.stats import comparison, task
from delivery.stats.predictions import predictions
from problem import FEATURES, KEY, LABEL, PERIOD, predict

PAST = 5  # decisions shown on the page
SCORE_RESAMPLES = 50


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--month", metavar="PERIOD", help="without it the oldest that was not judged yet")
    parser.add_argument(
        "--served",
        metavar="PLACE",
        help="the service's prediction log, to be joined with labels: a folder or an address",
    )
    parser.add_argument(
        "--push", action="store_true", help="keep the decision in the store's log, which the budgets read"
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def main(options: argparse.Namespace) -> int:
    settings = params.load()
    if options.push:
        print(store.pull())
    month = options.month or due(settings.fetch.until)
    if month is None:
        print(nothing(settings.fetch.until)["why"])
        github.summary(workspace.DRIFT_PAGE.read_text())
        return 0
    into(arrival.place(month), month)  # what was fetched for an earlier check may be old
    result = run(settings, month, served.fetched(options.served) if options.served else None)
    draw(result, settings)
    github.summary(workspace.DRIFT_PAGE.read_text())
    print(json.dumps(files.rounded(result), indent=1) if options.json else workspace.DRIFT_PAGE.read_text())
    if options.push:
        print(decisions.keep(result))
    return 1 if result["verdict"] == "failed" else 0


def due(until: str) -> str | None:
    """The oldest month after `until` that no check has judged; None where all were. A month that waited is due again.

    So is, until a newer one comes, a month that asked for a retraining which is not merged yet: its pull request
    could not be opened, or has fallen behind.
    """
    judged = {entry["month"]: entry["retrain"] for entry in decisions.read() if entry["verdict"] in policy.JUDGED}
    later = [period for period in tables.periods() if period > tables.expected(until)[-1]]
    fresh = next((period for period in later if period not in judged), None)
    return fresh or next((period for period in later[-1:] if judged[period]), None)


def nothing(until: str) -> dict:
    """Written like a decision, so that what reads drift.json next finds this one and not the last."""
    why = f"every month after {until} that the source has is judged: there is nothing new"
    result = {"month": until, "verdict": "wait", "retrain": False, "withdraw": False, "why": why}
    files.write_json(workspace.DRIFT, result)
    files.write(workspace.DRIFT_PAGE, f"**No decision: {why}.**\n")
    return result


def run(settings: Params, month: str, log: Path | None = None) -> dict:
    """Fetches until `month` beside data/ unless that is there, judges the champion on it, writes drift.json and drift.md.

    Raises Failure, with nothing written, where the data break their schema or are not news to the champion.
    """
    start = time.monotonic()
    champion, seen, test = skopsfile.load(workspace.MODEL), prepared.read("train"), prepared.read("test")
    trained = sorted(seen[PERIOD].unique())
    if month <= trained[-1]:
        raise Failure(f"the champion was trained until {trained[-1]}: {month} is not news to it; take a later month")
    folder, examples = arrival.checked(month, settings)
    now = examples[examples[PERIOD] == month].reset_index(drop=True)
    scores = [predict(champion, rows[list(FEATURES)]) for rows in (seen, test, now)]
    found = evidence.gather(seen, test, now, scores, settings)
    validate.refuse_jumps({"features": found["shift"]}, settings.validate.missing_jump)
    history = decisions.read()
    result: dict[str, Any] = {
        "month": month,
        "rows": int(now[LABEL].notna().sum()),
        "champion": files.digest(workspace.MODEL)[:12],
        "champion_trained_on": trained,
        "found": found,
        "evidence": documents.as_builtins(found.pop("shift")),
        "age": evidence.age(seen, now, month, tables.periods()),
        "revisions": evidence.revisions(workspace.DATA, folder),
        "history": history[-PAST:],
        "comparison": None,
        "judged": None,
        "windows": [],
    }
    if len(scored := served.batch(workspace.STORE / "batch")):
        result["batch"] = served.realised(*served.join(scored, examples, KEY))
    if log is not None:
        result["served"] = served.facts(log, examples, unserved(champion, examples, test), settings)
    result |= decide(result, champion, examples, folder, str(test[PERIOD].max()), history, settings)
    result["seconds"] = time.monotonic() - start
    files.write_json(workspace.DRIFT, result)
    files.write(workspace.DRIFT_PAGE, page.markdown(result))
    return result


def unserved(champion: Any, examples: pd.DataFrame, test: pd.DataFrame) -> pd.DataFrame:
    """Predictions for the champion's test months, rows without a label included: nobody acted upon these."""
    rows = examples[examples[PERIOD].isin(test[PERIOD].unique())]
    return predictions(rows, predict(champion, rows[list(FEATURES)]))


def draw(result: dict[str, Any], settings: Params) -> None:
    """drift.shift.png and, where a challenger was trained, drift.gains.png."""
    files.write(workspace.REPORTS / "drift.shift.png", plots.shift(result["evidence"], settings.drift.psi_alarm))
    if result["judged"]:
        files.write(workspace.REPORTS / "drift.gains.png", plots.gains(result["gains"], settings.drift.min_gain))


def decide(
    result: dict, champion: Any, examples: pd.DataFrame, folder: Path, since: str, history: list[dict], settings: Params
) -> dict[str, Any]:
    """Verdict, why, retrain and withdraw; a challenger is trained only where a retraining would be allowed."""
    month, drift = result["month"], settings.drift
    all_rows = int((examples[PERIOD] == month).sum())
    stop = {"retrain": False, "withdraw": False, "streak": 0}
    if why := policy.unready(all_rows, result["rows"], result["age"]["days"], drift):
        return stop | {"verdict": "wait", "why": why}
    today = datetime.now(UTC).date().isoformat()
    if why := policy.hindrance(history, month, tables.periods(), since, today, drift):
        return stop | {"verdict": "skip", "why": why}
    try:
        measured = measure(champion, result, examples, folder, settings)
    except Failure as failure:
        return stop | {"verdict": "failed", "why": str(failure)}
    judged = measured["judged"]
    agreed = policy.confirm(judged["verdict"], month, result["champion"], history, drift)
    why = judged["why"]
    if judged["verdict"] == "retrain" and not agreed["retrain"]:
        why += f"; month {agreed['streak']} of the {drift.open_after} in a row that drift.open_after asks for"
    return measured | {"verdict": judged["verdict"], "why": why} | agreed


def measure(champion: Any, result: dict, examples: pd.DataFrame, folder: Path, settings: Params) -> dict[str, Any]:
    """The newest month in full, the months since the champion was trained as sums, and the policy's judgement."""
    month, trained = result["month"], result["champion_trained_on"][-1]
    now = train.labelled(examples, month)
    names = challenger.months(examples, trained, month) or [month]
    keys = [challenger.key(folder, name, result["champion"], settings) for name in names]
    model = train.fitted(examples, month, settings)
    old, new = (predict(each, now[list(FEATURES)]) for each in (champion, model))
    newest = challenger.window(now, old, new)
    challenger.remember(keys[-1], newest)
    windows = [*challenger.windows(examples, names[:-1], champion, keys[:-1], settings), newest]
    # Metrics that are not means take seconds, and the decision does not read them.
    level = policy.decisive(settings.compare, settings.drift)
    quick = replace(level, score_resamples=min(level.score_resamples, SCORE_RESAMPLES))
    return {
        "comparison": documents.as_builtins(comparison.compare(predictions(now, old), predictions(now, new), quick)),
        "calibration_gap": task.gap(now[LABEL].to_numpy(float), old),
        "gains": [policy.pool([window], level) for window in windows],
        "judged": policy.judge(windows, settings.compare, settings.drift),
        "windows": keys,
    }
