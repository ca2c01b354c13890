"""Take the source's periods in their order, each to its end, whatever arrives late.

A period has arrived with its first rows. It is complete once a newer one has arrived or it has as many blocks as usual, and
labelled once `policy.unready` has no objection. Then it is judged, or skipped because a limit forbids a retraining; either
is final. One that cannot be judged yet holds up none after it: once a later one is decided, it is superseded, which is final
too, and its rows count in that decision's pool. Late labels and corrected rows reopen the newest decision for a while.

Every check is about the version that serves then. Where another one serves than the newest decided period was judged for, as
after a rollback, that period is judged again for it, once; decisions on earlier periods stand.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace

from delivery.core.params import Drift, Params
from delivery.data.fetch import into
from delivery.data.freshness import Arrivals, latest
from delivery.data.tables import expected
from delivery.drift import arrival, champion, check, decisions, policy
from delivery.drift.champion import Champion
from delivery.drift.result import DriftResult
from delivery.drift.verdicts import LogEntry
from problem import periods

DECIDED = (*policy.JUDGED, "skip")
FINAL = (*DECIDED, "superseded")


class Taken(NamedTuple):
    """What became of the periods that were looked at: the entries of the log, and the check that decides what follows, if any."""

    entries: list[LogEntry]
    result: DriftResult | None
    windows: tuple[str, ...] = ()  # keys of `challenger.windows` of all checks
    arrived: Arrivals = Arrivals()  # the newest rows and labels that the checks have seen
    behind: bool = False  # whether there are newer periods, which the next run looks at

    @property
    def withdrawal(self) -> str:
        """Why an open proposal is withdrawn although the last check alone would not do so; empty if it is not."""
        if self.result is None or self.result.retrain or self.result.withdraw:
            return ""
        earlier = [entry for entry in self.entries if entry.withdraw and entry.period < self.result.period]
        return f"{earlier[-1].period}: {earlier[-1].why}" if earlier else ""


def take(settings: Params, log: Path | None = None, *, fresh: bool = True) -> Taken:
    """Check the open periods, oldest first, until `drift.max_judged` are judged or one asks for a retraining.

    If none can be judged, check the newest decision if it is open again. `log`: prediction log of the service; `fresh`: whether
    to fetch what was fetched before. Raise `Failure` for data that break their schema.
    """
    history = decisions.read()
    who = champion.find(settings)
    known = max(expected(settings.fetch.until)[-1], who.until)  # what main's model or the one that serves has seen
    later = [period for period in periods() if period > known]
    entries, result = list[LogEntry](), None
    judged: list[DriftResult] = []
    arrived = Arrivals()
    for period in (due := undecided(history, later)):
        if fresh:
            into(arrival.folder_of(period), period)
        result = check.run(settings, period, log, [*history, *entries], who=who)
        arrived = latest(arrived, result.arrived)
        entry = decisions.entry(result)
        if entry.verdict in DECIDED:
            entries = [each if each.verdict in FINAL else superseded(each, period) for each in entries]
        entries.append(entry)
        judged += [result] if entry.verdict in policy.JUDGED else []
        # Once the month's compute is spent, the later ones would wait for the same.
        spent = policy.spent([*history, *entries], entry.date[:10], settings.drift)
        if entry.retrain or len(judged) == settings.drift.max_judged or spent:
            last = judged[-1] if judged else result
            return Taken(entries, last, windows_of(judged), arrived, behind=period != due[-1])
    if judged:
        return Taken(entries, judged[-1], windows_of(judged), arrived)
    newest = decision([*history, *entries], later, who.digest)
    if newest and newest not in entries:
        if fresh:
            into(arrival.folder_of(newest.period), newest.period)
        if newest.retrain or not about(newest, who.digest) or corrected(newest, history, settings, who):
            result = check.run(settings, newest.period, log, [*history, *entries], who=who)
            arrived = latest(arrived, result.arrived)
            entries.append(decisions.entry(result))
    return Taken(entries, result, windows_of([result] if result else []), arrived)


def windows_of(results: Sequence[DriftResult]) -> tuple[str, ...]:
    """Return the keys of what the challengers of these checks gained, each once."""
    return tuple(dict.fromkeys(key for result in results for key in result.windows))


def undecided(history: Sequence[LogEntry], later: Sequence[str]) -> list[str]:
    """Return the periods without a final entry, oldest first."""
    final = {entry.period for entry in history if entry.verdict in FINAL}
    return [period for period in later if period not in final]


def about(entry: LogEntry, digest: str) -> bool:
    """Return whether a decision is about the model with this digest; entries of early versions do not say."""
    return entry.champion in ("", digest)


def decision(history: Sequence[LogEntry], later: Sequence[str], digest: str) -> LogEntry | None:
    """Return the last decision on the newest period that has one, or None; one about the model that serves goes first.

    One for a retraining is made again until that is merged: its pull request could not be opened, or has fallen behind.
    """
    decided = [entry for entry in history if entry.verdict in DECIDED and entry.period in later]
    return max(reversed(decided), key=lambda entry: (entry.period, about(entry, digest)), default=None)


def superseded(waiting: LogEntry, by: str) -> LogEntry:
    """Return the final entry of a period that could not be judged before a later one was."""
    return replace(
        waiting, verdict="superseded", why=f"{by} was decided first, with the rows of {waiting.period}; {waiting.why}"
    )


def corrected(newest: LogEntry, history: Sequence[LogEntry], settings: Params, who: Champion) -> bool:
    """Return whether the rows that a decision rests on have changed, within `drift.reopen_days` of the first one on the period."""
    return (
        reopens(newest, history, datetime.now(UTC), settings.drift)
        and check.data(newest.period, settings, who) != newest.data
    )


def reopens(newest: LogEntry, history: Sequence[LogEntry], now: datetime, drift: Drift) -> bool:
    """Return whether changed rows would still reopen a decision; entries of an earlier version do not know their rows."""
    dates = [entry.date for entry in history if entry.period == newest.period and entry.data]
    return bool(dates) and now - datetime.fromisoformat(min(dates)) <= timedelta(days=drift.reopen_days)
