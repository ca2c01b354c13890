"""When to retrain: pure functions from what was measured to a verdict and its reason.

A month says `retrain` (proven: the lower end of the gain's interval is above zero), `hold` (worth it if
true, not proven) or `no`. What may be done about it then depends on the months before and on the budgets.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from msgspec.structs import replace

from delivery.core.params import Compare, Drift
from delivery.stats import task
from delivery.stats.bootstrap import interval
from problem import BLOCK, PRIMARY

# Months are pooled while their gains differ by less than this interval. Lower than the confidence of the decision:
# a month that does not belong biases the answer, a month left out only makes it less certain.
AGREE = 0.8
UNIT = PRIMARY.replace("_", " ")
JUDGED = ("retrain", "hold", "no")


@dataclass(frozen=True)
class Window:
    """A month that neither model has seen, as sums over the rows of each day: arrays of shape (days,).

    Of several classes the last two have the shape (days, classes).
    """

    month: str
    rows: np.ndarray  # labelled
    gains: np.ndarray  # the champion's loss less the challenger's
    gaps: np.ndarray  # the champion's residuals (`task.residuals`)
    remains: np.ndarray  # the challenger's prediction less the label


def judge(windows: Sequence[Window], compare: Compare, drift: Drift) -> dict[str, Any]:
    """Verdict and reason; `windows` are the months since the champion was trained, oldest first.

    The newest month decides alone where it can. Where it is inconclusive but worth it (`drift.min_gain`), the
    months before are added as long as they agree with it, and the pooled gain decides.
    Method: pooling stops at the first contradiction, as in Lepski (1991) and ADWIN (Bifet and Gavalda 2007).
    """
    level = decisive(compare, drift)
    newest = pooled = pool(windows[-1:], level)
    if newest["gain"] >= drift.min_gain and newest["low"] <= 0:
        pooled = pool(agreeing(windows, compare), level)
    gap = calibration(windows[-1], compare)
    found = {"newest": newest, "pooled": pooled, "calibration": gap}
    said = f"a challenger gains {span(newest)} {UNIT} on {newest['rows']:,} rows"
    over = f"pooled over the {len(pooled['months'])} months that agree, {pooled['months'][0]} to {newest['months'][0]}"
    if min(newest["gain"], pooled["gain"]) >= drift.min_gain:
        if newest["low"] > 0:
            return found | {"verdict": "retrain", "why": f"{said}: beyond noise"}
        if pooled["low"] > 0:
            return found | {"verdict": "retrain", "why": f"{said}; {over}: {span(pooled)}, beyond noise"}
    if broken(gap, drift.calibration_gap) and newest["gain"] > 0:
        text = f"calibration broke: gap {gap['gap']:+.4f} [{gap['low']:+.4f}, {gap['high']:+.4f}]"
        text += f", limit ±{drift.calibration_gap}, and a challenger mends it"
        return found | {"verdict": "retrain", "why": f"{text}; {said}"}
    if newest["gain"] < drift.min_gain:
        text = "within noise" if newest["low"] <= 0 else f"less than drift.min_gain {drift.min_gain}"
        text = "beyond noise worse than the champion" if newest["high"] < 0 else text
        return found | {"verdict": "no", "why": f"{said}: {text}; calibration gap {gap['gap']:+.4f}"}
    more = f"; {over}: {span(pooled)}" if len(pooled["months"]) > 1 else ""
    return found | {"verdict": "hold", "why": f"{said}{more}: within noise; calibration gap {gap['gap']:+.4f}"}


def decisive(compare: Compare, drift: Drift) -> Compare:
    """`compare` with the interval of a decision: that a challenger is better is a question with one side."""
    return replace(compare, confidence=drift.confidence)


def span(gain: dict[str, Any]) -> str:
    return f"{gain['gain']:+.4f} [{gain['low']:+.4f}, {gain['high']:+.4f}]"


def agreeing(windows: Sequence[Window], compare: Compare) -> list[Window]:
    """The newest windows back to the first whose gain differs from that of the newer ones beyond noise."""
    kept = [windows[-1]]
    for older in reversed(windows[:-1]):
        difference = samples(kept, compare) - means(older, older.gains, compare, age=len(kept))
        ends = interval(difference, AGREE)
        if ends.low > 0 or ends.high < 0:
            break
        kept.insert(0, older)
    return kept


def pool(windows: Sequence[Window], compare: Compare) -> dict[str, Any]:
    """Mean gain of a row over the windows, with the interval over resampled days."""
    rows = sum(int(window.rows.sum()) for window in windows)
    ends = interval(samples(windows, compare), compare.confidence)
    gain = float(sum(window.gains.sum() for window in windows) / rows)
    return {
        "months": [window.month for window in windows],
        "rows": rows,
        "gain": gain,
        "low": ends.low,
        "high": ends.high,
    }


def samples(windows: Sequence[Window], compare: Compare) -> np.ndarray:
    """The mean gain in each resample, shape (resamples,); days are drawn within their window."""
    weight = np.array([window.rows.sum() for window in windows], float)
    each = [means(window, window.gains, compare, len(windows) - at) for at, window in enumerate(windows, start=1)]
    return weight @ np.array(each) / weight.sum()


def means(window: Window, sums: np.ndarray, compare: Compare, age: int = 0) -> np.ndarray:
    """`sums` over rows in each resample of days.

    Windows of another `age` are drawn independently; the newest, 0, gets the draws of `compare`, so that a page
    does not show two intervals for one number.
    """
    days = len(window.rows)
    seed = [compare.seed, age] if age else compare.seed
    draws = np.random.default_rng(seed).multinomial(days, np.full(days, 1 / days), size=compare.resamples)
    return (draws @ sums) / (draws @ window.rows)


def calibration(window: Window, compare: Compare) -> dict[str, float]:
    """The champion's calibration gap with its interval, and the challenger's; of several classes the one furthest off.

    The interval is then as wide as it has to be for all of them to hold at once (Bonferroni).
    """
    gaps, remains = (each.reshape(len(window.rows), -1) for each in (window.gaps, window.remains))
    mean = gaps.sum(axis=0) / window.rows.sum()
    at = task.furthest(mean)
    ends = interval(means(window, gaps[:, at], compare), 1 - (1 - compare.confidence) / len(mean))
    return {
        "gap": float(mean[at]),
        "low": ends.low,
        "high": ends.high,
        "challenger": float(remains[:, at].sum() / window.rows.sum()),
    }


def broken(gap: dict[str, float], limit: float) -> bool:
    """Whether the gap is beyond the limit for certain, and a challenger would close at least half of it."""
    return max(gap["low"], -gap["high"]) > limit and abs(gap["challenger"]) < abs(gap["gap"]) / 2


def unready(rows: int, labelled: int, days: int, drift: Drift) -> str:
    """Why a month cannot be judged yet, or nothing."""
    if not rows:
        return "there are no rows"
    if not labelled:
        return f"{rows:,} rows and none has a label yet"
    if labelled < drift.min_rows:
        return f"{labelled:,} labelled rows are fewer than drift.min_rows {drift.min_rows:,}"
    if days < drift.min_days:
        return f"labels of {days} {BLOCK}s are fewer than drift.min_days {drift.min_days}: the month is not over"
    return ""


def hindrance(history: Sequence[dict], month: str, periods: Sequence[str], since: str, today: str, drift: Drift) -> str:
    """Which rule forbids a retraining, or nothing. `since` is the newest month the champion's pipeline had.

    Cool-down and runs are counted in months of data, so that neither a late check nor a wrong clock changes them;
    compute is counted in the calendar's month, as it is billed. `today` is an ISO date.
    """
    at = {period: number for number, period in enumerate(periods)}
    age = at[month] - at[since]
    if age < drift.cooldown:
        return f"the champion is {age} months old and drift.cooldown is {drift.cooldown}"
    year = {
        entry["month"]
        for entry in history
        if entry["retrain"] and 0 < at[month] - at.get(entry["month"], -drift.periods_per_year) < drift.periods_per_year
    }
    if len(year) >= drift.runs_per_year:
        return f"{len(year)} retrainings within a year are all that drift.runs_per_year allows"
    spent = sum(entry["seconds"] for entry in history if entry["date"][:7] == today[:7]) / 60
    if spent >= drift.minutes_per_month:
        return f"{spent:.1f} compute minutes this month are all that drift.minutes_per_month {drift.minutes_per_month:g} allows"
    return ""


def confirm(verdict: str, month: str, champion: str, history: Sequence[dict], drift: Drift) -> dict[str, Any]:
    """Whether to open and whether to withdraw: as many months in a row must have said so as the settings ask for.

    Several checks of one month are one; what was said of another champion does not count.
    """
    said = {entry["month"]: entry["verdict"] for entry in history if entry["champion"] == champion}
    said = {name: word for name, word in said.items() if name < month and word in JUDGED}
    streak = 1
    for name in sorted(said, reverse=True):
        if said[name] != verdict:
            break
        streak += 1
    return {
        "streak": streak,
        "retrain": verdict == "retrain" and streak >= drift.open_after,
        "withdraw": verdict == "no" and streak >= drift.close_after,
    }
