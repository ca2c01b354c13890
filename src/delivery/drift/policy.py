"""Decide when to retrain: pure functions from what was measured to a verdict and its reason.

The verdict on a period is `retrain` (proven: the lower end of the gain's interval is above zero), `hold` (worth it
if true, not proven) or `no`. What follows from it depends on the periods before and on the budgets.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from msgspec.structs import replace

from delivery.core.params import Compare, Drift
from delivery.drift.verdicts import Calibration, Confirmation, Judged, Judgement, LogEntry, PooledGain
from delivery.stats import task
from delivery.stats.bootstrap import interval
from problem import BLOCK, PRIMARY

# Periods are pooled while their gains differ by less than this interval. Lower than the confidence of the decision:
# a period that does not belong biases the answer, a period left out only makes it less certain.
AGREE = 0.8
UNIT = PRIMARY.replace("_", " ")
JUDGED = ("retrain", "hold", "no")
WHOLE = 0.9  # of the usual number of blocks: months have 28 to 31 days


@dataclass(frozen=True)
class Window:
    """A period that neither model has seen, as sums over the rows of each block: arrays of shape (blocks,).

    The last two may have the shape (blocks, 1); multi-class they have the shape (blocks, classes).
    """

    period: str
    rows: np.ndarray  # labelled rows
    gains: np.ndarray  # the champion's loss minus the challenger's
    gaps: np.ndarray  # the champion's residuals (`task.residuals`)
    remains: np.ndarray  # the challenger's residuals


def judge(windows: Sequence[Window], compare: Compare, drift: Drift) -> Judgement:
    """Return verdict and reason; `windows` are the periods since the champion was trained, oldest first.

    The newest period decides alone where it can. Where it is inconclusive but worth it (`drift.min_gain`), the
    periods before are added as long as they agree with it, and the pooled gain decides.
    Method: pooling stops at the first contradiction, as in Lepski (1991) and ADWIN (Bifet and Gavalda 2007).
    """
    level = decisive(compare, drift)
    newest = pooled = pool(windows[-1:], level)
    if newest.gain >= drift.min_gain and newest.low <= 0:
        pooled = pool(agreeing(windows, compare), level)
    gap = calibration(windows[-1], compare)
    verdict, why = conclude(newest, pooled, gap, drift)
    return Judgement(newest, pooled, gap, verdict, why)


def conclude(newest: PooledGain, pooled: PooledGain, gap: Calibration, drift: Drift) -> tuple[Judged, str]:
    """Return the verdict on what was measured, and the reason with its numbers."""
    alone = f"a challenger gains {span(newest)} {UNIT} on {newest.rows:,} rows"
    together = f"pooled over the {len(pooled.periods)} periods that agree, {pooled.periods[0]} to {newest.periods[0]}"
    if min(newest.gain, pooled.gain) >= drift.min_gain:
        if newest.low > 0:
            return "retrain", f"{alone}: beyond noise"
        if pooled.low > 0:
            return "retrain", f"{alone}; {together}: {span(pooled)}, beyond noise"
    if broken(gap, drift.calibration_gap) and newest.gain > 0:
        text = f"calibration broke: gap {gap.gap:+.4f} [{gap.low:+.4f}, {gap.high:+.4f}]"
        text += f", limit ±{drift.calibration_gap}, and a challenger closes at least half of it"
        return "retrain", f"{text}; {alone}"
    if newest.gain < drift.min_gain:
        text = "within noise" if newest.low <= 0 else f"less than drift.min_gain {drift.min_gain}"
        text = "beyond noise worse than the champion" if newest.high < 0 else text
        return "no", f"{alone}: {text}; calibration gap {gap.gap:+.4f}"
    more = f"; {together}: {span(pooled)}" if len(pooled.periods) > 1 else ""
    return "hold", f"{alone}{more}: within noise; calibration gap {gap.gap:+.4f}"


def decisive(compare: Compare, drift: Drift) -> Compare:
    """Return `compare` with the confidence level of `drift`.

    The decision is one-sided: only the lower end of the interval counts, so 0.90 gives one-sided 95 %.
    """
    return replace(compare, confidence=drift.confidence)


def span(gain: PooledGain) -> str:
    """Return the gain and its interval as text."""
    return f"{gain.gain:+.4f} [{gain.low:+.4f}, {gain.high:+.4f}]"


def agreeing(windows: Sequence[Window], compare: Compare) -> list[Window]:
    """Return the newest windows, back to the first whose gain differs from that of the newer ones beyond noise."""
    alike = [windows[-1]]
    for older in reversed(windows[:-1]):
        difference = samples(alike, compare) - means(older, older.gains, compare, age=len(alike))
        ends = interval(difference, AGREE)
        if ends.low > 0 or ends.high < 0:
            break
        alike.insert(0, older)
    return alike


def pool(windows: Sequence[Window], compare: Compare) -> PooledGain:
    """Return the mean gain of a row over the windows, with the interval over resampled blocks."""
    rows = sum(int(window.rows.sum()) for window in windows)
    ends = interval(samples(windows, compare), compare.confidence)
    gain = float(sum(window.gains.sum() for window in windows) / rows)
    return PooledGain(tuple(window.period for window in windows), rows, gain, ends.low, ends.high)


def samples(windows: Sequence[Window], compare: Compare) -> np.ndarray:
    """Return the mean gain of a row in each resample, shape (resamples,); blocks are drawn within their window."""
    weight = np.array([window.rows.sum() for window in windows], float)
    each = [means(window, window.gains, compare, len(windows) - at) for at, window in enumerate(windows, start=1)]
    return np.asarray(weight @ np.array(each) / weight.sum())


def means(window: Window, sums: np.ndarray, compare: Compare, age: int = 0) -> np.ndarray:
    """Return the mean of a row in each resample of blocks, shape (resamples,); `sums`: totals by block, (blocks,).

    Windows of another `age` are drawn independently; the newest, 0, gets the draws of `compare`, so that a page
    does not show two intervals for one number.
    """
    days = len(window.rows)
    seed = [compare.seed, age] if age else compare.seed
    draws = np.random.default_rng(seed).multinomial(days, np.full(days, 1 / days), size=compare.resamples)
    return np.asarray((draws @ sums) / (draws @ window.rows))


def calibration(window: Window, compare: Compare) -> Calibration:
    """Return the champion's calibration gap with its interval, and the challenger's gap.

    Multi-class: the gaps of the class that is furthest off, with an interval wide enough to hold for all classes at once
    (Bonferroni).
    """
    gaps, remains = (each.reshape(len(window.rows), -1) for each in (window.gaps, window.remains))
    mean = gaps.sum(axis=0) / window.rows.sum()
    at = task.furthest(mean)
    ends = interval(means(window, gaps[:, at], compare), 1 - (1 - compare.confidence) / len(mean))
    return Calibration(float(mean[at]), ends.low, ends.high, float(remains[:, at].sum() / window.rows.sum()))


def broken(gap: Calibration, limit: float) -> bool:
    """Return whether the whole interval of the gap is beyond the limit, and a challenger would close at least half of it."""
    return max(gap.low, -gap.high) > limit and abs(gap.challenger) < abs(gap.gap) / 2


def unfinished(days: int, usual: float) -> str:
    """Return that the newest period is not over, or "": it has fewer blocks than WHOLE of what is `usual`."""
    return "" if days >= WHOLE * usual else f"{days} of about {usual:.0f} {BLOCK}s have arrived: the period is not over"


def unready(rows: int, labelled: int, days: int, drift: Drift) -> str:
    """Return why a period cannot be judged yet, or "" if it can; `days` counts the blocks with a label."""
    if not rows:
        return "there are no rows"
    if not labelled:
        return f"{rows:,} rows and none has a label yet"
    if labelled < drift.min_rows:
        return f"{labelled:,} labelled rows are fewer than drift.min_rows {drift.min_rows:,}"
    if days < drift.min_days:
        return f"labels of {days} {BLOCK}s are fewer than drift.min_days {drift.min_days}: the period is not over"
    return ""


def hindrance(history: Sequence[LogEntry], period: str, periods: Sequence[str], since: str, drift: Drift) -> str:
    """Return which rule forbids a retraining with this period for good, or "".

    `since` is the newest period the champion's pipeline had. Cool-down and runs are counted in periods of data, so that
    neither a late check nor a wrong clock changes them.
    """
    if not drift.minutes_per_month:
        return "drift.minutes_per_month is 0: no challenger is trained"
    at = {name: number for number, name in enumerate(periods)}
    age = at[period] - at[since]
    if age < drift.cooldown:
        return f"{age} of {drift.cooldown} periods have passed since {since} (drift.cooldown)"
    year = {
        entry.period
        for entry in history
        if entry.retrain and 0 < at[period] - at.get(entry.period, -drift.periods_per_year) < drift.periods_per_year
    }
    if len(year) >= drift.runs_per_year:
        return f"{len(year)} retrainings within a year are all that drift.runs_per_year allows"
    return ""


def spent(history: Sequence[LogEntry], today: str, drift: Drift) -> str:
    """Return that the compute budget of the calendar's month is spent, or "": the next month has another.

    Compute is counted in the calendar's month, as it is billed. `today` is an ISO date.
    """
    minutes = sum(entry.seconds for entry in history if entry.date[:7] == today[:7]) / 60
    if 0 < drift.minutes_per_month <= minutes:
        return f"{minutes:.1f} compute minutes this month are all that drift.minutes_per_month {drift.minutes_per_month:g} allows"
    return ""


def confirm(verdict: Judged, period: str, champion: str, history: Sequence[LogEntry], drift: Drift) -> Confirmation:
    """Return whether to open and whether to withdraw: as many periods in a row must agree as the params ask for.

    Several checks of one period are one, the last of them; verdicts on another champion do not count.
    """
    verdicts = {entry.period: entry.verdict for entry in history if entry.champion == champion}
    verdicts = {name: word for name, word in verdicts.items() if name < period and word in JUDGED}
    streak = 1
    for name in sorted(verdicts, reverse=True):
        if verdicts[name] != verdict:
            break
        streak += 1
    return Confirmation(
        streak=streak,
        retrain=verdict == "retrain" and streak >= drift.open_after,
        withdraw=verdict == "no" and streak >= drift.close_after,
    )
