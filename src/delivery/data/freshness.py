"""Whether rows and labels still arrive: the newest of each that the source has sent, and since when they are late.

A feed that stops looks like one without news: no period arrives, so nothing is checked and nothing is red.
"""

from datetime import UTC, datetime

import msgspec
import pandas as pd
from msgspec import Struct

from delivery.core import files, workspace
from delivery.core.errors import Failure
from delivery.core.params import Drift

RECORD = workspace.DRIFT_LOG.parent / "arrivals.json"
SOURCE = "src/problem/source.py"


class Arrivals(Struct, frozen=True):
    """The times of the newest row and of the newest row with a label, in the data's own time.

    Both are ISO 8601 without a zone; empty if there is none.
    """

    rows: str = ""
    labels: str = ""


def newest(times: pd.Series, labels: pd.Series) -> Arrivals:
    """Return the newest of the rows' times, and of those with a label."""
    return Arrivals(_newest(times), _newest(times[labels.notna()]))


def _newest(times: pd.Series) -> str:
    latest = pd.to_datetime(times, errors="coerce").max()
    if pd.isna(latest):
        return ""
    return (latest.tz_convert(None) if latest.tzinfo else latest).isoformat()


def latest(*found: Arrivals) -> Arrivals:
    """Return what is newest in several of them."""
    return Arrivals(*(max(values) for values in zip(*map(msgspec.structs.astuple, (Arrivals(), *found)), strict=True)))


def late(found: Arrivals, limits: Drift) -> list[str]:
    """Return a sentence for rows and one for labels, if these are older than `drift.rows_late_after` and `labels_late_after`.

    None if no row was ever seen: then nothing is known of the source.
    """
    if not found.rows:
        return []
    sentences = []
    for what, moment, name in (("row", found.rows, "rows_late_after"), ("label", found.labels, "labels_late_after")):
        days = getattr(limits, name)
        if not days:
            continue
        age = (now() - datetime.fromisoformat(moment)).days if moment else None
        if age is None:
            sentences.append(f"{SOURCE} has sent no {what} yet (drift.{name}: {days} days)")
        elif age > days:
            sentences.append(
                f"{SOURCE} has sent no {what} that is newer than {moment[:10]}, {age} days ago (drift.{name}: {days}); "
                "look whether it still delivers"
            )
    return sentences


def read() -> Arrivals:
    """Return what the last drift check that was recorded has seen; empty if none was. Raise `Failure` for a broken file."""
    if not RECORD.exists():
        return Arrivals()
    try:
        return msgspec.json.decode(RECORD.read_bytes(), type=Arrivals)
    except msgspec.DecodeError as error:
        raise Failure(
            f"{RECORD} cannot be read ({error}); the next `delivery drift --push` writes it again if it is removed"
        ) from None


def write(found: Arrivals) -> None:
    """Keep it for `doctor` and `status`."""
    files.write_json(RECORD, msgspec.to_builtins(found))


def now() -> datetime:
    """Return the present in UTC, without a zone, as the data's times are."""
    return datetime.now(UTC).replace(tzinfo=None)
