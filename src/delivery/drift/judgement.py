"""Train challengers for a period where the policy allows it, compare them with the champion, and decide."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from msgspec import Struct
from msgspec.structs import replace

from delivery.core.errors import Failure
from delivery.core.params import Drift, Params
from delivery.drift import challenger, policy
from delivery.drift.result import Verdict
from delivery.drift.verdicts import Confirmation, Judgement, LogEntry, PooledGain
from delivery.pipeline import train
from delivery.stats import comparison, task
from delivery.stats.predictions import predictions
from delivery.stats.verdicts import Comparison
from problem import BLOCK, FEATURES, LABEL, PERIOD, periods, predict

SCORE_RESAMPLES = 50
Score = Callable[[pd.DataFrame], np.ndarray]
NOTHING_FOLLOWS = Confirmation(streak=0, retrain=False, withdraw=False)


class Question(NamedTuple):
    """Whether to replace the champion, now that the rows of `period` are here."""

    period: str
    score: Score  # the champion's predictions
    digest: str  # of the champion's file
    key: str  # what the champion's predictions depend on
    trained_until: str
    examples: pd.DataFrame  # feature rows of all periods until this one
    folder: Path  # the raw data they are made of


class Measured(Struct, frozen=True):
    """Measured gain of a challenger; everything is empty if none was trained."""

    comparison: Comparison | None = None  # on the newest period, in full
    judged: Judgement | None = None
    windows: tuple[str, ...] = ()  # the keys of `challenger.windows`
    calibration_gap: float | None = None
    gains: tuple[PooledGain, ...] = ()  # of each period since the champion was trained


class Outcome(Struct, frozen=True):
    """A decision, its reason, and the measurements it rests on."""

    verdict: Verdict
    why: str
    confirmation: Confirmation = NOTHING_FOLLOWS
    measured: Measured = Measured()


def waiting(question: Question, labelled_days: int, drift: Drift) -> str:
    """Return why the period cannot be judged yet, or "" if it can; `labelled_days`: its blocks with a label."""
    rows = question.examples[question.examples[PERIOD] == question.period]
    return unfinished(question) or policy.unready(len(rows), int(rows[LABEL].notna().sum()), labelled_days, drift)


def decide(question: Question, since: str, history: Sequence[LogEntry], settings: Params) -> Outcome:
    """Return the decision on a period that can be judged; a challenger is trained only where a retraining would be allowed.

    `since`: newest period of the last training's data.
    """
    drift = settings.drift
    if why := policy.hindrance(history, question.period, periods(), since, drift):
        return Outcome("skip", why)
    if why := policy.spent(history, datetime.now(UTC).date().isoformat(), drift):
        return Outcome("wait", why)
    try:
        measured, judged = measure(question, settings)
    except Failure as failure:
        return Outcome("failed", str(failure))
    confirmation = policy.confirm(judged.verdict, question.period, question.digest, history, drift)
    why = judged.why
    if judged.verdict == "retrain" and not confirmation.retrain:
        why += f"; period {confirmation.streak} of the {drift.open_after} in a row that drift.open_after asks for"
    return Outcome(judged.verdict, why, confirmation, measured)


def unfinished(question: Question) -> str:
    """Return why more rows of the period are still to come, or "": it is over once a newer one has arrived."""
    if question.period != periods()[-1]:
        return ""
    days = question.examples.groupby(PERIOD)[BLOCK].nunique()
    earlier = days[days.index < question.period]
    return policy.unfinished(int(days.get(question.period, 0)), float(earlier.median()) if len(earlier) else 0.0)


def measure(question: Question, settings: Params) -> tuple[Measured, Judgement]:
    """Compare on the newest period in full and on those since the training as sums. Raise `Failure` if no model fits."""
    period, examples = question.period, question.examples
    now = train.labelled(examples, period)
    scored = challenger.scored_periods(examples, question.trained_until, period) or [period]
    keys = [challenger.window_key(question.folder, name, question.key, settings) for name in scored]
    model = train.fitted(examples, period, settings)
    old, new = question.score(now), predict(model, now[list(FEATURES)])
    newest = challenger.window(now, old, new)
    challenger.remember(keys[-1], newest)
    windows = [*challenger.windows(examples, scored[:-1], question.score, keys[:-1], settings), newest]
    # Metrics that are not means take seconds, and the decision does not read them.
    level = policy.decisive(settings.compare, settings.drift)
    quick = replace(level, score_resamples=min(level.score_resamples, SCORE_RESAMPLES))
    judged = policy.judge(windows, settings.compare, settings.drift)
    measured = Measured(
        comparison=comparison.compare(predictions(now, old), predictions(now, new), quick),
        judged=judged,
        windows=tuple(keys),
        calibration_gap=task.gap(now[LABEL].to_numpy(float), old),
        gains=tuple(policy.pool([window], level) for window in windows),
    )
    return measured, judged
